"""What one version of a service answered within a stretch of time, over all its callers. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter

from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Bins, Sample


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """`errors` are answers of 5xx among `requests`; `bins` is milliseconds -> answers, as Envoy counts times (they may trail the
    requests by a second)."""

    seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    bins: Bins = dataclasses.field(default_factory=dict, hash=False)

    def __add__(self, other: Tally) -> Tally:
        bins = dict(Counter(self.bins) + Counter(other.bins))
        return Tally(
            self.seconds + other.seconds, self.requests + other.requests, self.errors + other.errors, bins=bins
        )

    @property
    def timed(self) -> int:
        """Answers whose time is known."""
        return sum(self.bins.values())

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    @property
    def error_share(self) -> float:
        """Percent of the requests."""
        return 100.0 * self.errors / self.requests if self.requests else 0.0

    def percentile(self, share: float) -> float | None:
        """Milliseconds below which this share (0 to 1) of the answers lies; None without answers."""
        return figures.percentiles(self.bins, [share])[0]

    def slower(self, bound: float) -> float:
        """How many answers took `bound` milliseconds or longer; a bin that holds the bound counts in part."""
        return sum(count * _above(low, bound) for low, count in self.bins.items())


def gained(now: Sample, before: Sample, *, app: str, target: str, version: str) -> Tally:
    """What came in between two samples."""
    total = Tally(seconds=max(0.0, now.at - before.at))
    for (name, _, called, at), growth in figures.growths(now, before).items():
        if (name, called, at) == (app, target, version):
            total += Tally(0.0, growth.requests, min(growth.errors, growth.requests), bins=growth.bins)
    return total


def _above(low: float, bound: float) -> float:
    width = figures.width(low)
    return min(1.0, max(0.0, (low + width - bound) / width))
