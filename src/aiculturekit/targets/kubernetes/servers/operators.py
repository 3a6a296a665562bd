"""PostgreSQL by CloudNativePG, where the cluster has that operator. Pure. (https://cloudnative-pg.io/documentation/current/)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import files, secrets
from aiculturekit.targets.kubernetes.objects import PROTECTED, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.nodes import SERVER_VERSION

_USUAL = "18"
_REPLICAS = 2
"""A primary, and one that takes its place."""


def rendered(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    """It makes pods, claims and the account; the Service that the mesh's rules have for the resource leads to the primary."""
    body, name = document.body, document.name
    administrator = {"name": secrets.name(name, secrets.ADMINISTRATOR)}
    storage: dict[str, Any] = {"size": str(body.get("size") or files.ROOM)}
    if cluster.storage:
        storage["storageClass"] = cluster.storage
    registry = cluster.mirror if cluster.mirror != "docker.io" else "ghcr.io"
    spec = {
        "instances": _REPLICAS,
        "imageName": f"{registry}/cloudnative-pg/postgresql:{body.get('version') or _USUAL}",
        "storage": storage,
        "enableSuperuserAccess": True,
        "superuserSecret": administrator,
        "inheritedMetadata": {"labels": {"app": name, "version": SERVER_VERSION}},
        "postgresql": {"shared_preload_libraries": ["pg_stat_statements"]},
    }
    labels = {PROTECTED: "true"} if body.get("protected") else {}
    yield Owned(
        document.key,
        made(
            "postgresql.cnpg.io/v1", "Cluster", name, app=app, cluster=cluster, component=name, labels=labels, spec=spec
        ),
    )


def led(service: Manifest) -> Manifest:
    """The Service of such a server, with the primary behind it."""
    selector = {"cnpg.io/cluster": service["metadata"]["name"], "cnpg.io/instanceRole": "primary"}
    return service | {"spec": service["spec"] | {"selector": selector}}
