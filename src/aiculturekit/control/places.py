"""How much each place of a version takes, from how many of its replicas are well. Pure.

As Envoy and Istio weigh priorities: a place takes 1.4 times the share of its replicas that are well, up to all; what it does not
take goes to the next (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiculturekit.engine.workloads import Status

OVERPROVISIONED = 1.4


def rows(status: Status | None) -> list[dict[str, Any]]:
    """One for each place of a version, in order: `{version, zone, replicas, ready, share}`; `share` is of the version's requests, 0 to 1.
    Replicas that the mesh leaves out for their answers count as well here."""
    if status is None:
        return []
    zones, version = status.workload.zones, status.workload.key.version
    states = [[one.state for one in status.instances if one.zone == zone] for zone in zones]
    counts = [(found.count("ready"), len(found)) for found in states]
    return [
        {"version": version, "zone": zone, "replicas": total, "ready": ready, "share": share}
        for zone, (ready, total), share in zip(zones, counts, shares(counts), strict=True)
    ]


def shares(counts: Sequence[tuple[int, int]]) -> list[float]:
    """From (well, all) of each place. Where all together are not well enough for everything, each takes in proportion."""
    takes = [min(1.0, OVERPROVISIONED * ready / total) if total else 0.0 for ready, total in counts]
    whole, left, found = min(1.0, sum(takes)), 1.0, list[float]()
    for take in takes:
        share = min(left, take / whole) if whole else 0.0
        left -= share
        found.append(round(share, 4))
    return found
