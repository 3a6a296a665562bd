"""The way to a tcp service in one hop: the caller's own door leads straight to the replicas. Pure.

Both ends of a handshake here would be this very Envoy, which holds both keys; what tells who calls is the door, as it does on two hops.
So the second hop is left out where it would have nothing to do. Where it has (to refuse or to note a caller, to count for all callers
together, to choose between versions or places) there are two. Which of the ways is taken stands in the cluster,
never in the listener: a connection that is open stays on the way that it took.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service, Version
from aiculturekit.mesh.rules import Traffic


def version(service: Service, caller: str) -> Version | None:
    """The version to whose replicas the caller's door leads straight; None where it takes two hops."""
    if service.protocol != "tcp" or caller not in service.callers or _has_rules(service.traffic):
        return None
    called = [one for one in service.versions if one.weight > 0]
    return called[0] if len(called) == 1 else None


def _has_rules(traffic: Traffic) -> bool:
    return bool(traffic.breaker or traffic.zones)


def of(clusters: Iterable[Json]) -> frozenset[str]:
    """The names of the callers' clusters that are such a way: those without a handshake, by themselves or beyond the tunnel."""
    plain = {one["name"] for one in clusters if "transport_socket" not in one}
    kinds = ((name, name.partition("/")) for name in plain)
    return frozenset(
        name if kind == "out" else f"out/{edge}/*" for name, (kind, _, edge) in kinds if kind in ("out", "beyond")
    )
