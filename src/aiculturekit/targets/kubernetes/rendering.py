"""An application's documents -> every object of it in a cluster, in an order in which they can be applied. Pure.

namespaces     the room, accounts, bounds
givens         the Secret of what whoever deploys knows
files, servers what resources need: claims, Secrets, servers, the Jobs that settle them
rules          Services, gateways, routes, permissions, as the mesh of the cluster says them
networks       the same permissions for the cluster's network
monitors       what Prometheus looks at, where its operator is
jobs           migrations before workloads, jobs after them
workloads      Deployments and how they scale
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiculturekit.plan.documents import RANKS, Document
from aiculturekit.plan.resources import FILES
from aiculturekit.targets.kubernetes import (
    files,
    givens,
    jobs,
    monitors,
    namespaces,
    networks,
    rules,
    secrets,
    servers,
    workloads,
)
from aiculturekit.targets.kubernetes.objects import PORT, Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settling

_RUNNING = ("workload", "job", "migration")


def rendered(app: str, documents: Sequence[Document], *, cluster: Cluster) -> tuple[Owned, ...]:
    """The same documents and cluster give the same objects. Where two say the same object, the later one is it."""
    given = rules.node(app, documents, traces=cluster.traces)
    at = rules.place(app, documents, cluster=cluster)
    found = [
        *namespaces.rendered(app, accounts=_accounts(documents, cluster), cluster=cluster),
        *givens.rendered(app, documents, cluster=cluster),
        *(one for document in _of(documents, "resource") for one in _resource(app, document, documents, cluster)),
        *rules.rendered(app, given, at=at, documents=documents, cluster=cluster),
        *networks.rendered(app, given, ports=dict(at.ports), usual=PORT, cluster=cluster),
        *monitors.rendered(app, documents, cluster=cluster),
        *(one for document in _by_rank(documents) for one in _running(app, document, documents, cluster)),
    ]
    return tuple({one.place: one for one in found}.values())


def _resource(app: str, document: Document, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    users = _users(document.name, documents)
    if document.body.get("url"):
        yield from secrets.of_outside(app, document, users, cluster=cluster)
    elif document.body["type"] in FILES:
        yield files.claim(app, document.name, document.body, cluster=cluster, key=document.key)
        yield from secrets.of_files(app, document, users, url=files.url(document), cluster=cluster)
    else:
        yield from servers.claim(app, document, cluster=cluster)


def _running(app: str, document: Document, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    match document.kind:
        case "server":
            yield from servers.rendered(app, document, cluster=cluster)
        case "migration":
            yield from jobs.migrations(app, document, documents=documents, cluster=cluster)
        case "workload":
            yield from workloads.rendered(app, document, documents=documents, cluster=cluster)
        case "job":
            yield from jobs.rendered(app, document, documents=documents, cluster=cluster)


def _users(resource: str, documents: Sequence[Document]) -> list[str]:
    """Everybody who needs it, sorted."""
    found = {
        secrets.user(document)
        for document in documents
        if document.kind in _RUNNING
        for need in document.body["needs"]
        if (need["kind"], need["name"]) == ("resources", resource)
    }
    return sorted(found)


def _accounts(documents: Sequence[Document], cluster: Cluster) -> Iterator[str]:
    """Each workload is somebody; an operator's servers have accounts that it makes."""
    for document in documents:
        if document.kind in _RUNNING:
            yield document.name.partition("/")[0]
        elif document.kind == "server":
            if servers.is_settled(document):
                yield settling.account(document.name)
            if not (cluster.operator and document.body["type"] == "postgres"):
                yield document.name


def _of(documents: Sequence[Document], kind: str) -> list[Document]:
    return [document for document in documents if document.kind == kind]


def _by_rank(documents: Sequence[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: RANKS[document.kind])
