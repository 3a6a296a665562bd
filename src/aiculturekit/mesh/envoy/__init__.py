"""A Node and the ready ports go in, the files that Envoy reads come out.

Promise: pure; the same input gives the same bytes; what changes often (weights, permissions, replicas, certificates)
stands where Envoy takes it up without closing a connection. May not: read, write, start or ask anything.
"""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.envoy import bootstrap, clusters, documents, listeners, names, routes, tokens
from aiculturekit.mesh.envoy.clusters import Ports
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node


def compile(
    node: Node, *, folder: Path, admin: Path, ports: Ports | None = None, has_ipv6: bool = False, authorities: str = ""
) -> dict[str, Json]:
    """File name, relative to `folder`, -> document. Certificates (`sds/…`) are not among them: the authority writes
    those. `authorities` is the file with the certificates of the authorities that this machine trusts."""
    files = {
        names.BOOTSTRAP: bootstrap.compiled(folder=folder, admin=admin),
        names.CLUSTERS: documents.bundle(
            clusters.compiled(node, folder=folder, ports=ports or {}, authorities=authorities)
        ),
        names.TOKENS_FILE: tokens.compiled(node),
        names.LISTENERS: documents.bundle(listeners.compiled(node, folder=folder, has_ipv6=has_ipv6)),
    }
    return files | {names.routes_file(name): document for name, document in routes.compiled(node)}
