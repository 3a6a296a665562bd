"""Resources that a server of ours plays in a cluster: one replica, its data on a claim, and a Job that makes in it what is declared. Pure.

A module for each type (`shapes.Kind`). The Job that runs a type's `script` is a workload of its own in the mesh (`NAME-settle`): it comes
in as the server's administrator, the only one who may make users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import files, secrets
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import arrivals as waiting
from aiculturekit.targets.kubernetes.servers import mysql, nats, operators, postgres, redis, s3, settling
from aiculturekit.targets.kubernetes.servers.shapes import Kind

SERVERS: Mapping[str, Kind] = {"postgres": postgres, "redis": redis, "nats": nats, "s3": s3, "mysql": mysql}
"""Types that can be played in a cluster; the others are named by `url:`."""


def ports(documents: list[Document]) -> dict[str, int]:
    """Server -> the port that it has in the cluster, its kind's usual one."""
    return {one.name: SERVERS[one.body["type"]].PORT for one in documents if one.kind == "server"}


def rendered(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    kind = SERVERS[document.body["type"]]
    databases = kind.databases(document)
    yield from secrets.of_server(app, document, owner=kind.OWNER, databases=databases, port=kind.PORT, cluster=cluster)
    if cluster.operator and document.body["type"] == "postgres":
        yield from operators.rendered(app, document, cluster=cluster)
    else:
        yield from kind.server(app, document, cluster=cluster)
    if script := kind.script(document):
        yield settling.rendered(app, document, script=script, kind=kind, cluster=cluster)


def is_settled(document: Document) -> bool:
    """Whether a Job makes true in it what is declared."""
    kind = SERVERS.get(document.body["type"])
    return kind is not None and bool(kind.script(document))


def arrivals(document: Document, *, documents: Sequence[Document], cluster: Cluster) -> list[dict[str, Any]]:
    """Init containers that wait for the servers which the document needs."""
    return list(waiting.rendered(document, documents=documents, kinds=SERVERS, cluster=cluster))


def claim(app: str, resource: Document, *, cluster: Cluster) -> Iterator[Owned]:
    """An operator's own servers have claims of their own."""
    if not (cluster.operator and resource.body["type"] == "postgres"):
        yield files.claim(app, resource.name, resource.body, cluster=cluster, key=resource.key)
