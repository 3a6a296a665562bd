"""Which loopback ports a cluster reaches, and in which order of places. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Replica, Service

Where = int | Replica
"""A port alone is a ready replica that stands in no particular place."""


def of(cluster: str, replicas: Iterable[Where]) -> Json:
    """The assignment of a cluster to its replicas; none is a service that answers 503 at once."""
    return _assignment(cluster, list(_localities(settled(replicas))))


def settled(replicas: Iterable[Where]) -> tuple[Where, ...]:
    """By place and port, each once."""
    known = {Replica(one) if isinstance(one, int) else one for one in replicas}
    ordered = sorted(known, key=lambda one: (one.rank, one.zone, one.port))
    return tuple(one.port if one == Replica(one.port) else one for one in ordered)


def replicas(assignment: Json) -> tuple[Where, ...]:
    """The inverse of `of`."""
    return settled(
        _replica(item, locality) for locality in assignment["endpoints"] for item in locality["lb_endpoints"]
    )


def weighted(cluster: str, service: Service) -> Json:
    """A tcp service's versions by weight: not in the listener, which would close its connections when it changes."""
    listed = _by_weight(service)
    return _assignment(cluster, [{"lb_endpoints": listed}] if listed else [])


def _by_weight(service: Service) -> list[Json]:
    return [
        _endpoint(version.port) | {"load_balancing_weight": max(1, round(version.weight * 100))}
        for version in service.versions
        if version.weight > 0
    ]


def _localities(replicas: Iterable[Where]) -> Iterator[Json]:
    """One for each place. A place that is empty keeps its number: Envoy wants them without a gap."""
    known = [Replica(one) if isinstance(one, int) else one for one in replicas]
    reached = -1
    for (rank, zone), standing in groupby(known, key=lambda one: (one.rank, one.zone)):
        yield from ({"priority": empty, "lb_endpoints": []} for empty in range(reached + 1, rank))
        reached = rank
        yield {**_place(zone, rank), "lb_endpoints": [_endpoint(one.port, is_ready=one.is_ready) for one in standing]}


def _place(zone: str, rank: int) -> Json:
    region, _, inner = zone.partition("/")
    found: Json = {"locality": {"region": region} | ({"zone": inner} if inner else {})} if zone else {}
    return found | ({"priority": rank} if rank else {})


def _replica(item: Json, locality: Json) -> Replica:
    place = locality.get("locality", {})
    return Replica(
        item["endpoint"]["address"]["socket_address"]["port_value"],
        zone="/".join(place[part] for part in ("region", "zone") if part in place),
        rank=locality.get("priority", 0),
        is_ready="health_status" not in item,
    )


def _assignment(cluster: str, localities: list[Json]) -> Json:
    return {"cluster_name": cluster, "endpoints": localities}


def _endpoint(port: int, *, is_ready: bool = True) -> Json:
    """Envoy weighs a place by how many of those that it knows there are well, so it must know of those that are not."""
    found: Json = {"endpoint": {"address": documents.address(port)}}
    return found if is_ready else found | {"health_status": "UNHEALTHY"}
