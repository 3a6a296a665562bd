"""Counters to figures."""

from __future__ import annotations

import pytest

from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Sample

OUT = "out/shop/gw/pay/v1"


def taken(at: float, *, total: int, failed: int = 0, bins: dict[float, int] | None = None, **more: int) -> Sample:
    counts = {f"{OUT}.upstream_rq_completed": total, f"{OUT}.upstream_rq_5xx": failed, **more}
    return Sample(at, counts, {OUT: bins or {}})


def test_an_answer_of_envoy_becomes_a_sample() -> None:
    answer = {
        "stats": [
            {"name": f"cluster.{OUT}.upstream_rq_completed", "value": 3},
            {
                "histograms": {
                    "details": [
                        {
                            "name": f"cluster.{OUT}.upstream_rq_time",
                            "totals": [
                                {"lower_bound": 0, "width": 0, "count": 2},
                                {"lower_bound": 7, "width": 0.1, "count": 1},
                            ],
                        }
                    ]
                }
            },
        ]
    }
    assert figures.sample(answer, at=5.0) == Sample(5.0, {f"{OUT}.upstream_rq_completed": 3}, {OUT: {0.0: 2, 7.0: 1}})


def test_rates_are_over_the_time_between_two_samples() -> None:
    before, now = (
        taken(10.0, total=100, failed=2, bins={1.0: 100}),
        taken(12.0, total=150, failed=12, bins={1.0: 100, 20.0: 50}),
    )
    [edge] = figures.edges(now, before)
    assert (edge.app, edge.source, edge.target, edge.version) == ("shop", "gw", "pay", "v1")
    assert (edge.rate, edge.error_rate, edge.requests, edge.errors) == (25.0, 0.2, 150, 12)
    assert edge.p50_ms is not None and 20 <= edge.p50_ms <= 21, "only what is new counts"


def test_the_first_sample_has_totals_but_no_rate() -> None:
    [edge] = figures.edges(taken(10.0, total=100, bins={3.0: 100}), None)
    assert (edge.rate, edge.requests) == (0.0, 100)


def test_a_restart_of_envoy_is_no_negative_rate() -> None:
    [edge] = figures.edges(taken(12.0, total=10, bins={2.0: 10}), taken(10.0, total=1000, bins={2.0: 1000}))
    assert edge.rate == 5.0 and edge.p50_ms == 2.5


def test_nothing_asked_is_no_percentile() -> None:
    [edge] = figures.edges(taken(12.0, total=5), taken(10.0, total=5))
    assert (edge.rate, edge.error_rate, edge.p50_ms, edge.p99_ms) == (0.0, 0.0, None, None)


def test_ejected_replicas_are_those_of_the_version() -> None:
    more = {"in/shop/pay/v1.outlier_detection.ejections_active": 2}
    [edge] = figures.edges(taken(1.0, total=1, **more), None)
    assert edge.ejected == 2


def test_a_tcp_service_counts_connections() -> None:
    counts = {"out/s/a/db/*.upstream_cx_total": 10, "out/s/a/db/*.upstream_cx_connect_fail": 1}
    [edge] = figures.edges(Sample(2.0, counts, {}), Sample(1.0, {}, {}))
    assert (edge.version, edge.rate, edge.error_rate) == ("", 10.0, 0.1)


@pytest.mark.parametrize(
    ("bins", "share", "expected"),
    [
        ({0.0: 100}, 0.5, 0.5),
        ({0.0: 50, 9.0: 50}, 0.75, 9.5),
        ({110.0: 10}, 1.0, 120.0),
        ({1.0: 99, 5000.0: 1}, 0.99, 2.0),
    ],
)
def test_percentiles_are_spread_within_a_bin(bins: dict[float, int], share: float, expected: float) -> None:
    assert figures.percentiles(bins, [share]) == [expected]
