"""Which loopback ports a cluster reaches. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service


def of(cluster: str, ports: Iterable[int]) -> Json:
    """The assignment of a cluster to its ports; none is a service that answers 503 at once."""
    return _assignment(cluster, [_endpoint(port) for port in sorted(set(ports))])


def ports(assignment: Json) -> tuple[int, ...]:
    """The inverse of `of`."""
    listed = assignment["endpoints"][0]["lb_endpoints"] if assignment["endpoints"] else []
    return tuple(item["endpoint"]["address"]["socket_address"]["port_value"] for item in listed)


def weighted(cluster: str, service: Service) -> Json:
    """A tcp service's versions by weight: not in the listener, which would close its connections when it changes."""
    return _assignment(cluster, _by_weight(service))


def _by_weight(service: Service) -> list[Json]:
    return [
        _endpoint(version.port) | {"load_balancing_weight": max(1, round(version.weight * 100))}
        for version in service.versions
        if version.weight > 0
    ]


def _assignment(cluster: str, listed: list[Json]) -> Json:
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": listed}] if listed else []}


def _endpoint(port: int) -> Json:
    return {"endpoint": {"address": documents.address(port)}}
