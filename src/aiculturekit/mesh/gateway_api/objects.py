"""All objects of a node, in an order in which they can be applied. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh import manifests
from aiculturekit.mesh.gateway_api import routes
from aiculturekit.mesh.nodes import INGRESS, Entry, Node, Service
from aiculturekit.mesh.rendering import Manifest, Place

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""The label that implementations put on the pods of a Gateway (GEP-1762)."""


def render(node: Node, *, place: Place) -> tuple[Manifest, ...]:
    """The node's documents. Ask `gaps` first: what it names is not in them."""
    known = {(service.app, service.name): service for service in node.services}
    return (
        *(one for service in node.services for one in manifests.services(service, place=place)),
        *gateways(node, place),
        *(routes.of_service(service, place=place) for service in node.services if _is_routed(service)),
        *_public(node.entries, known, place),
        *(allowed(service, place) for service in node.services),
    )


def _is_routed(service: Service) -> bool:
    """A tcp service of one version needs no route: its Service says all."""
    return service.protocol != "tcp" or len(service.versions) > 1


def gateways(node: Node, place: Place) -> Iterator[Manifest]:
    """One for each application that has a public path, on plain HTTP: certificates for its host names are the cluster's part."""
    for app in dict.fromkeys(entry.app for entry in node.entries):
        listeners = [
            {"name": f"http-{at}" if at else "http", "port": 80, "protocol": "HTTP"}
            | ({} if host == "*" else {"hostname": host})
            for at, host in enumerate(place.hosts)
        ]
        spec = {"gatewayClassName": place.gateway_class, "listeners": listeners}
        yield manifests.made(routes.API, "Gateway", name=app, app=app, place=place, spec=spec)


def _public(entries: tuple[Entry, ...], known: dict[tuple[str, str], Service], place: Place) -> Iterator[Manifest]:
    for entry in entries:
        if service := known.get((entry.app, entry.service)):
            yield routes.of_entry(service, entry, place=place)


def allowed(service: Service, place: Place) -> Manifest:
    """The Gateway API does not say who may call. Kubernetes does, by the pods' labels instead of certificates, where the cluster's
    network enforces it. Nobody in the list refuses everybody."""
    sources = [_source(service, caller) for caller in sorted(service.callers)]
    rule = {"from": sources, "ports": [{"protocol": "TCP", "port": place.port_of(service.name)}]}
    spec = {
        "podSelector": {"matchLabels": {"app": service.name}},
        "policyTypes": ["Ingress"],
        "ingress": [rule] if sources else [],
    }
    api, kind = "networking.k8s.io/v1", "NetworkPolicy"
    return manifests.made(api, kind, name=service.name, app=service.app, place=place, spec=spec)


def _source(service: Service, caller: str) -> dict[str, object]:
    if caller == INGRESS:  # some implementations run the gateway's pods in a namespace of their own
        return {"namespaceSelector": {}, "podSelector": {"matchLabels": {GATEWAY_NAME: service.app}}}
    return {"podSelector": {"matchLabels": {"app": caller}}}
