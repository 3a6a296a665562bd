"""What pods ask for, and what they use of it by metrics-server's word. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ says how amounts are written.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")
_UNITS: Mapping[str, float] = {
    "": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
_LIVE = ("Running", "Pending")


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """(asked for, used) of one pod: cores, bytes; None where it is not known."""

    cpu: tuple[float | None, float | None]
    memory: tuple[float | None, float | None]


def of_pods(pods: Iterable[Json], measured: Iterable[Json]) -> list[Usage]:
    """Of those that run or are to. `measured` are PodMetrics."""
    used = {one["metadata"]["name"]: one.get("containers", ()) for one in measured}
    return [
        _usage(pod["spec"]["containers"], used.get(pod["metadata"]["name"]))
        for pod in pods
        if pod.get("status", {}).get("phase", "Pending") in _LIVE
    ]


def amount(quantity: str | float) -> float | None:
    """`250m` -> 0.25, `64Mi` -> 67108864; None for what can't be read."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None or found[2] not in _UNITS:
        return None
    return float(found[1]) * _UNITS[found[2]]


def _usage(containers: Sequence[Json], measured: Sequence[Json] | None) -> Usage:
    asked = [one.get("resources", {}).get("requests", {}) for one in containers]
    used = None if measured is None else [one.get("usage", {}) for one in measured]
    return Usage(*((_sum(asked, key), None if used is None else _sum(used, key)) for key in ("cpu", "memory")))


def _sum(listed: Iterable[Mapping[str, str]], key: str) -> float | None:
    known = [value for one in listed if key in one and (value := amount(one[key])) is not None]
    return sum(known) if known else None
