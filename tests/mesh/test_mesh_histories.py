"""What is remembered of the last minutes."""

from __future__ import annotations

import pytest

from aiculturekit.mesh.figures import Growth, Place
from aiculturekit.mesh.histories import KEPT, History

V1: Place = ("shop", "gw", "pay", "v1")
V2: Place = ("shop", "gw", "pay", "v2")
BESIDE: Place = ("shop", "web", "pay", "v1")


def filled(samples: int, *, limit: int = 10**9, **grown: Growth) -> History:
    """`samples` of two seconds each; the last ends at 2 * samples."""
    history = History(limit=limit)
    for at in range(1, samples + 1):
        history.add({V1: Growth(requests=10, errors=1, bins={4.0: 10})}, at=2.0 * at, seconds=2.0)
    return history


def test_a_window_has_the_figures_of_its_seconds_only() -> None:
    history = filled(5)
    history.add({V1: Growth(requests=100, bins={40.0: 100})}, at=12.0, seconds=2.0)
    last = history.window(now=12.0, seconds=2.0, app="shop", target="pay", version="v1")
    assert (last.seconds, last.requests, last.rate, last.error_rate) == (2.0, 100, 50.0, 0.0)
    assert last.p50_ms == pytest.approx(40.5)
    whole = history.window(now=12.0, seconds=60.0, app="shop", target="pay", version="v1")
    assert (whole.seconds, whole.requests, whole.errors) == (12.0, 150, 5)
    assert whole.error_rate == pytest.approx(5 / 150)


def test_all_callers_of_a_version_count_together_and_other_versions_do_not() -> None:
    history = History()
    history.add({V1: Growth(requests=1), BESIDE: Growth(requests=2), V2: Growth(requests=4)}, at=1.0, seconds=1.0)

    def requests(version: str | None) -> int:
        return history.window(now=1.0, seconds=5.0, app="shop", target="pay", version=version).requests

    assert [requests("v1"), requests("v2"), requests(None)] == [3, 4, 7]
    assert history.window(now=1.0, seconds=5.0, app="other", target="pay", version=None).requests == 0


def test_nothing_called_is_no_percentile_and_no_error() -> None:
    history = History()
    history.add({V1: Growth()}, at=10.0, seconds=10.0)
    window = history.window(now=10.0, seconds=60.0, app="shop", target="pay", version="v1")
    assert (window.seconds, window.rate, window.error_rate, window.p99_ms) == (10.0, 0.0, 0.0, None)


def test_what_is_old_is_forgotten() -> None:
    history = filled(1000)
    assert history.window(now=2000.0, seconds=10**6, app="shop", target="pay", version="v1").seconds <= KEPT + 2


def test_the_space_is_bounded_and_the_newest_stay() -> None:
    history = filled(2000, limit=20_000)
    assert history.size <= 20_000
    window = history.window(now=4000.0, seconds=900.0, app="shop", target="pay", version="v1")
    assert 0 < window.seconds < 900
    assert history.window(now=4000.0, seconds=2.0, app="shop", target="pay", version="v1").requests == 10


def test_a_series_is_oldest_first() -> None:
    series = list(filled(3).series(now=6.0, seconds=60.0, app="shop"))
    assert [age for age, _, _ in series] == [4.0, 2.0, 0.0]
    assert series[0][2] == {V1: Growth(requests=10, errors=1, bins={4.0: 10})}
