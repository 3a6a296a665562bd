"""A Node goes in; what a Kubernetes without a mesh can say of it comes out: Services, an Ingress, network policies.

Promise: pure. Almost every rule of the vocabulary is a gap here, and is named. May not: approximate weights by numbers of pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh import manifests
from aiculturekit.mesh.gateway_api.objects import allowed
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Gap, Manifest, Place, Renderer

API = "networking.k8s.io/v1"


def render(node: Node, *, place: Place) -> tuple[Manifest, ...]:
    return (
        *(manifests.services(service, place=place)[0] for service in node.services),
        *_ingresses(node, place),
        *(allowed(service, place) for service in node.services),
    )


def gaps(node: Node) -> list[Gap]:
    return list(_gaps(node))


def _gaps(node: Node) -> Iterator[Gap]:
    """Who may call is said by the network's rules; which of a service's versions answers, by nobody."""
    for service in node.services:
        if len(service.versions) > 1:
            yield Gap(
                service.app, service.name, "versions", say("without a mesh nobody divides requests among versions")
            )


def _ingresses(node: Node, place: Place) -> Iterator[Manifest]:
    """One for each application, on plain HTTP: certificates for its host names are the cluster's part."""
    for app in dict.fromkeys(entry.app for entry in node.entries):
        paths: list[dict[str, Any]] = [
            {
                "path": entry.prefix,
                "pathType": "Prefix",
                "backend": {"service": {"name": entry.service, "port": {"number": place.port_of(entry.service)}}},
            }
            for entry in node.entries
            if entry.app == app
        ]
        rules = [{**({} if host == "*" else {"host": host}), "http": {"paths": paths}} for host in place.hosts]
        yield manifests.made(API, "Ingress", name=app, app=app, place=place, spec={"rules": rules})


RENDERER = Renderer(render=render, gaps=gaps, unsaid=frozenset({"protocol http2", "protocol tcp", "needs external"}))
"""A Service carries whatever its pods speak; what lies outside, the target's network policies bound by its port."""
