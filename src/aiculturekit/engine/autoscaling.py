"""How many replicas a load needs. Pure: samples in, a number out.

Up at once, to what the newest load needs; down only to the most that was needed within the last WINDOW seconds, and by half at the most: a
gap between two waves must not take away what the second one needs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

WINDOW = 60.0
TOLERANCE = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """`at` seconds of a monotonic clock, `rate` requests per second over all replicas, `cpu` percent of one core over all replicas."""

    at: float
    rate: float = 0.0
    cpu: float = 0.0


def decide(
    samples: Sequence[Sample],
    *,
    current: int,
    minimum: int,
    maximum: int,
    rps: float | None,
    cpu: float | None,
    now: float,
) -> int:
    """The number of replicas to run now, within `minimum`..`maximum`. `rps` and `cpu` are what one replica should carry."""
    recent = [sample for sample in samples if now - sample.at <= WINDOW]
    if not recent:
        return _within(current, minimum, maximum)
    newest = _needed(recent[-1], current, rps, cpu)
    if newest >= current:
        return _within(newest, minimum, maximum)
    if now - samples[0].at < WINDOW:
        return _within(current, minimum, maximum)
    most = max(_needed(sample, current, rps, cpu) for sample in recent)
    return _within(max(min(most, current), math.ceil(current / 2)), minimum, maximum)


def _needed(sample: Sample, current: int, rps: float | None, cpu: float | None) -> int:
    """A load within TOLERANCE of what the current replicas carry changes nothing."""
    shares = [sample.rate / rps] if rps else []
    shares += [sample.cpu / cpu] if cpu else []
    wanted = max(shares, default=0.0)
    if current and abs(wanted - current) <= TOLERANCE * current:
        return current
    return math.ceil(wanted)


def _within(value: int, minimum: int, maximum: int) -> int:
    return max(minimum, min(maximum, value))
