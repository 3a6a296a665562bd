"""EDS: which loopback ports serve a version now. The only documents that change when a replica comes or goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node, Service


def replicas(app: str, service: str, version: str, *, ports: Iterable[int]) -> Json:
    """The document of a version's ready replicas; none is a service that answers 503 at once."""
    listed = [_endpoint(port) for port in sorted(set(ports))]
    return documents.bundle([_assignment(names.inbound(app, service, version), listed)])


def ports(document: Json) -> tuple[int, ...]:
    """The inverse of `replicas`."""
    groups = document["resources"][0]["endpoints"]
    listed = groups[0]["lb_endpoints"] if groups else []
    return tuple(item["endpoint"]["address"]["socket_address"]["port_value"] for item in listed)


def inbound_sides(node: Node, *, app: str) -> Json:
    """Every http service's first inbound listener, each a subset of its own: see clusters.unneeded."""
    listed = [
        _endpoint(service.versions[0].port) | {"metadata": {"filter_metadata": {"envoy.lb": {"service": service.name}}}}
        for service in node.services
        if service.app == app and service.protocol != "tcp" and service.versions
    ]
    return documents.bundle([_assignment(names.every_inbound(app), listed)])


def weighted(service: Service) -> Json:
    """A tcp service's versions by weight. Here and not in the listener: a listener that changes closes its
    connections."""
    listed = [
        _endpoint(version.port) | {"load_balancing_weight": max(1, round(version.weight * 100))}
        for version in service.versions
        if version.weight > 0
    ]
    return documents.bundle([_assignment(names.weighted(service.app, service.name), listed)])


def compiled(node: Node) -> Iterator[tuple[str, Json]]:
    """(name, document) of all sets that follow from the node alone."""
    for app in sorted({caller.app for caller in node.callers}):
        yield names.every_inbound(app), inbound_sides(node, app=app)
    for service in node.services:
        if service.protocol == "tcp":
            yield names.weighted(service.app, service.name), weighted(service)


def static(name: str, port: int) -> Json:
    """The assignment of a cluster that never changes; it stands inside the cluster, without a type of its own."""
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(port)]}]}


def _assignment(name: str, listed: list[Json]) -> Json:
    groups = [{"lb_endpoints": listed}] if listed else []
    return documents.typed("config.endpoint.v3.ClusterLoadAssignment", cluster_name=name, endpoints=groups)


def _endpoint(port: int) -> Json:
    return {"endpoint": {"address": documents.address(port)}}
