"""What came over every edge in the last minutes, in a bounded space: the figures of any window, and series for charts. Pure.

The bins of a growth are packed: as a mapping they would take ten times as much.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import deque
from collections.abc import Iterator, Mapping

from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import COUNTED, Growth, Place

KEPT = 900.0
"""Seconds that are remembered."""
LIMIT = 3 * 1024 * 1024
"""Bytes, about, beyond which the oldest are forgotten sooner."""
_MOMENT, _GROWTH = 200, 420


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Figures over the last `seconds` that are known (less than asked for, where the history is shorter); times in milliseconds, None
    for no answers. `rate` is requests per second, `error_rate` a share between 0 and 1."""

    seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    rate: float = 0.0
    error_rate: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Packed:
    counts: tuple[int, ...]
    bounds: array[float]
    answers: array[int]


@dataclasses.dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    seconds: float
    grown: Mapping[Place, _Packed]
    size: int


class History:
    """The growths of the last KEPT seconds. `at` is always a monotonic clock's."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit, self._size = limit, 0
        self._moments: deque[_Moment] = deque()

    def add(self, grown: Mapping[Place, Growth], *, at: float, seconds: float) -> None:
        """What came in the `seconds` before `at`; edges with nothing take no space."""
        packed = {place: _packed(growth) for place, growth in grown.items() if not growth.is_nothing}
        size = _MOMENT + sum(_GROWTH + 8 * len(one.bounds) for one in packed.values())
        self._moments.append(_Moment(at, seconds, packed, size))
        self._size += size
        while self._moments and (self._size > self._limit or self._moments[0].at < at - KEPT):
            self._size -= self._moments.popleft().size

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return self._size

    def grown(self, *, now: float, seconds: float, app: str) -> tuple[dict[Place, Growth], float]:
        """What came over each edge of an application in the last `seconds`, and how many of them are known."""
        found: dict[Place, Growth] = {}
        known = 0.0
        for moment in self._last(now, seconds):
            known += moment.seconds
            for place, packed in moment.grown.items():
                if place[0] == app:
                    found[place] = found[place] + _unpacked(packed) if place in found else _unpacked(packed)
        return found, known

    def window(self, *, now: float, seconds: float, app: str, target: str, version: str | None) -> Window:
        """All callers of one version (of all versions, where None) together."""
        grown, known = self.grown(now=now, seconds=seconds, app=app)
        mine = [g for place, g in grown.items() if place[2] == target and version in (None, place[3])]
        total = sum(mine, Growth())
        p50, p95, p99 = figures.percentiles(total.bins, [0.5, 0.95, 0.99])
        return Window(
            seconds=known,
            requests=total.requests,
            errors=total.errors,
            rate=total.requests / known if known else 0.0,
            error_rate=total.errors / total.requests if total.requests else 0.0,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
        )

    def series(self, *, now: float, seconds: float, app: str) -> Iterator[tuple[float, float, dict[Place, Growth]]]:
        """(seconds before now, length, what came) of each sample, oldest first."""
        for moment in self._last(now, seconds):
            yield (
                now - moment.at,
                moment.seconds,
                {place: _unpacked(packed) for place, packed in moment.grown.items() if place[0] == app},
            )

    def _last(self, now: float, seconds: float) -> list[_Moment]:
        """The moments that end within the window, by half at least."""
        return [one for one in self._moments if one.at - one.seconds / 2 >= now - seconds]


def _packed(growth: Growth) -> _Packed:
    counts = tuple(getattr(growth, name) for name in COUNTED)
    return _Packed(counts, array("f", growth.bins.keys()), array("I", growth.bins.values()))


def _unpacked(packed: _Packed) -> Growth:
    bins = {float(bound): count for bound, count in zip(packed.bounds, packed.answers, strict=True)}
    return Growth(**dict(zip(COUNTED, packed.counts, strict=True)), bins=bins)
