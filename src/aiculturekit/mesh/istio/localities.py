"""The places of a service's replicas in Istio's words: the caller's own place, the rest of its region, one region to go to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from aiculturekit.mesh.istio.matches import Json


def setting(zones: Sequence[str]) -> Json:
    """For a load balancer. Who calls from elsewhere goes to the first region, who calls from there to the second."""
    if not zones:
        return {}
    regions = list(dict.fromkeys(_region(zone) for zone in zones))
    onwards = [{"from": one, "to": next(to for to in regions if to != one)} for one in regions if len(regions) > 1]
    return {"localityLbSetting": {"enabled": True} | ({"failover": onwards} if onwards else {})}


def unordered(zones: Sequence[str]) -> tuple[str, str] | None:
    """Two places, one after the other, that a caller in the first place would not be sent to in this order."""
    regions = list(dict.fromkeys(_region(zone) for zone in zones))
    ranks = [_rank(zone, zones[0], regions) for zone in zones]
    ordered = zip(pairwise(zones), pairwise(ranks), strict=True)
    return next((pair for pair, (one, other) in ordered if one >= other), None)


def _rank(zone: str, own: str, regions: Sequence[str]) -> int:
    """As Istio counts (applyLocalityFailover): region and zone, region alone, the region to go to, all others."""
    if zone == own:
        return 0
    return 1 + min(regions.index(_region(zone)), 2)


def _region(zone: str) -> str:
    return zone.partition("/")[0]
