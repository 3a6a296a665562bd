"""A Node and the ready ports go in, the files that Envoy reads come out.

Promise: pure; the same input gives the same bytes; what changes often (weights, permissions, replicas, certificates)
stands where Envoy takes it up without closing a connection. May not: read, write, start or ask anything.
"""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.envoy import (
    bootstrap,
    clusters,
    documents,
    federation,
    listeners,
    names,
    routes,
    tokens,
    tunnels,
)
from aiculturekit.mesh.envoy.clusters import Ports
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node


def compile(
    node: Node, *, folder: Path, admin: Path, ports: Ports | None = None, has_ipv6: bool = False, authorities: str = ""
) -> dict[str, Json]:
    """File name, relative to `folder`, -> document. Certificates (`sds/…`) are not among them: the authority writes
    those, and Envoy asks for them. `authorities` is the file with the certificates of the authorities that this machine trusts."""
    found = [
        *clusters.compiled(node, ports=ports or {}, admin=admin, authorities=authorities),
        *federation.outbound(node),
    ]
    doors = [
        *listeners.compiled(node, folder=folder, has_ipv6=has_ipv6),
        *federation.listeners(node, folder=folder),
        *tunnels.listeners(node, folder=folder, admin=admin),
    ]
    files = {
        names.BOOTSTRAP: bootstrap.compiled(folder=folder, admin=admin),
        names.CLUSTERS: documents.bundle(_by_name(found)),
        names.TOKENS_FILE: tokens.compiled(node),
        names.LISTENERS: documents.bundle(_by_name(doors)),
    }
    return files | {names.routes_file(name): document for name, document in routes.compiled(node)}


def _by_name(resources: list[Json]) -> list[Json]:
    return sorted(resources, key=lambda resource: str(resource["name"]))
