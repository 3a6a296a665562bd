"""What workloads may reach outside: everything is refused but what a route names. It holds for a whole namespace. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh import manifests
from aiculturekit.mesh.gateway_api.routes import API
from aiculturekit.mesh.linkerd.permissions import GROUP
from aiculturekit.mesh.linkerd.routes import ALPHA
from aiculturekit.mesh.nodes import Egress, Node
from aiculturekit.mesh.rendering import Manifest, Place

NAME = "outside"


def of_node(node: Node, *, place: Place) -> Iterator[Manifest]:
    """Nothing for an application without a need outside: its namespace stays as the cluster has it."""
    for app in dict.fromkeys(egress.app for egress in node.egresses):
        spec = {"trafficPolicy": "Deny"}
        yield manifests.made(f"{GROUP}/v1alpha1", "EgressNetwork", name=NAME, app=app, place=place, spec=spec)
        named = {(one.scheme, one.host, one.port): one for one in node.egresses if one.app == app}
        yield from (_route(one, place) for _, one in sorted(named.items()))


def _route(egress: Egress, place: Place) -> Manifest:
    """By the name in the TLS handshake, or in the Host header."""
    network = {"group": GROUP, "kind": "EgressNetwork", "name": NAME}
    rule: dict[str, Any] = {"backendRefs": [network | {"port": egress.port}]}
    spec = {"parentRefs": [network | {"port": egress.port}], "hostnames": [egress.host], "rules": [rule]}
    api, kind = (API, "HTTPRoute") if egress.scheme == "http" else (ALPHA, "TLSRoute")
    name = f"{NAME}-{egress.host.replace('*', 'any').replace('.', '-')}-{egress.port}"
    return manifests.made(api, kind, name=name, app=egress.app, place=place, spec=spec)
