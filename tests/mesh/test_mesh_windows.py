"""What a version answered between two samples of Envoy's counters."""

from __future__ import annotations

import pytest

from aiculturekit.mesh.figures import Sample
from aiculturekit.mesh.windows import Tally, gained


def sample(at: float, *, web: int, ingress: int, errors: int = 0, slow: int = 0) -> Sample:
    counts = {
        "out/shop/web/pay/v2.upstream_rq_completed": web,
        "out/shop/ingress/pay/v2.upstream_rq_completed": ingress,
        "out/shop/ingress/pay/v2.upstream_rq_5xx": errors,
        "out/shop/ingress/pay/v1.upstream_rq_completed": 7000,
        "out/other/ingress/pay/v2.upstream_rq_completed": 9000,
        "in/shop/pay/v2.upstream_rq_completed": 4000,
    }
    return Sample(at, counts, {"out/shop/ingress/pay/v2": {3.0: ingress - slow, 500.0: slow}})


def test_all_callers_count_and_nothing_else_does() -> None:
    before, now = sample(1.0, web=10, ingress=100), sample(3.0, web=15, ingress=200, errors=5, slow=10)
    tally = gained(now, before, app="shop", target="pay", version="v2")
    assert (tally.seconds, tally.requests, tally.errors, tally.timed) == (2.0, 105, 5, 100)
    assert tally.slower(400.0) == 10
    assert tally.percentile(0.5) == pytest.approx(3.55, abs=0.1)
    assert tally.error_share == pytest.approx(100 * 5 / 105)


def test_a_counter_that_was_started_anew_is_not_negative() -> None:
    tally = gained(
        sample(3.0, web=1, ingress=2), sample(1.0, web=900, ingress=900), app="shop", target="pay", version="v2"
    )
    assert tally.requests == 3


def test_tallies_add_up() -> None:
    total = Tally(1.0, 10, 1, bins={3.0: 10}) + Tally(2.0, 20, 0, bins={3.0: 5, 40.0: 15})
    assert (total.seconds, total.requests, total.errors, dict(total.bins)) == (3.0, 30, 1, {3.0: 15, 40.0: 15})
    assert total.rate == 10.0
    assert Tally().percentile(0.95) is None


def test_a_bin_that_holds_the_bound_counts_in_part() -> None:
    assert Tally(bins={400.0: 10}).slower(405.0) == pytest.approx(5.0)
