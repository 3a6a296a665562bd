"""A Node and the ready ports go in, the files that Envoy reads come out.

Promise: pure; the same input gives the same bytes; what changes often (weights, permissions, replicas, certificates)
stands where Envoy takes it up without closing a connection. May not: read, write, start or ask anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiculturekit.mesh.envoy import bootstrap, clusters, documents, endpoints, listeners, names, routes
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node

Ports = Mapping[tuple[str, str, str], tuple[int, ...]]
"""(app, service, version) -> the loopback ports of the replicas that are ready."""


def compile(
    node: Node, *, folder: Path, admin: Path, ports: Ports | None = None, has_ipv6: bool = False
) -> dict[str, Json]:
    """File name, relative to `folder`, -> document. Certificates (`sds/…`) are not among them: the authority writes
    those."""
    files = {
        names.BOOTSTRAP: bootstrap.compiled(folder=folder, admin=admin),
        names.CLUSTERS: documents.bundle(clusters.compiled(node, folder=folder)),
        names.LISTENERS: documents.bundle(listeners.compiled(node, folder=folder, has_ipv6=has_ipv6)),
    }
    files |= {names.routes_file(name): document for name, document in routes.compiled(node)}
    files |= {names.endpoints_file(name): document for name, document in endpoints.compiled(node)}
    return files | _replicas(node, ports or {})


def _replicas(node: Node, ports: Ports) -> dict[str, Json]:
    return {
        names.endpoints_file(names.inbound(service.app, service.name, version.name)): endpoints.replicas(
            service.app, service.name, version.name, ports=ports.get((service.app, service.name, version.name), ())
        )
        for service in node.services
        for version in service.versions
    }
