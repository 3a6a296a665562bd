"""Counters to figures."""

from __future__ import annotations

import re

import pytest

from aiculturekit.mesh import figures
from aiculturekit.mesh.envoy import bootstrap
from aiculturekit.mesh.figures import Growth, Sample
from aiculturekit.mesh.nodes import Edge

OUT = "out/shop/gw/pay/v1"


def told(now: Sample, before: Sample | None) -> list[Edge]:
    grown = figures.growths(now, before) if before else {}
    return figures.edges(now, grown, seconds=now.at - before.at if before else 0.0)


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
    [edge] = told(now, before)
    assert (edge.app, edge.source, edge.target, edge.version) == ("shop", "gw", "pay", "v1")
    assert (edge.rate, edge.error_rate, edge.requests, edge.errors) == (25.0, 0.2, 150, 12)
    assert edge.p50_ms is not None and 20 <= edge.p50_ms <= 21, "only what is new counts"


def test_the_first_sample_has_totals_but_no_rate() -> None:
    [edge] = told(taken(10.0, total=100, bins={3.0: 100}), None)
    assert (edge.rate, edge.requests) == (0.0, 100)


def test_a_restart_of_envoy_is_no_negative_rate() -> None:
    [edge] = told(taken(12.0, total=10, bins={2.0: 10}), taken(10.0, total=1000, bins={2.0: 1000}))
    assert edge.rate == 5.0 and edge.p50_ms == 2.5


def test_nothing_asked_is_no_percentile() -> None:
    [edge] = told(taken(12.0, total=5), taken(10.0, total=5))
    assert (edge.rate, edge.error_rate, edge.p50_ms, edge.p99_ms) == (0.0, 0.0, None, None)


def test_ejected_replicas_are_those_of_the_version() -> None:
    more = {"in/shop/pay/v1.outlier_detection.ejections_active": 2}
    [edge] = told(taken(1.0, total=1, **more), None)
    assert edge.ejected == 2


def test_a_tcp_service_counts_connections() -> None:
    counts = {"out/s/a/db/*.upstream_cx_total": 10, "out/s/a/db/*.upstream_cx_connect_fail": 1}
    [edge] = told(Sample(2.0, counts, {}), Sample(1.0, {}, {}))
    assert (edge.version, edge.rate, edge.error_rate) == ("", 10.0, 0.1)


def test_a_tcp_edge_has_the_time_until_a_connection_is_made_and_the_resets() -> None:
    edge = "out/s/a/db/*"
    failed = {f"{edge}.upstream_cx_connect_timeout": 2, f"{edge}.upstream_cx_destroy_remote_with_active_rq": 3}
    counts = {f"{edge}.upstream_cx_total": 9, **failed}
    now = Sample(2.0, counts, {edge: {10.0: 7}}, straight=frozenset({edge}))
    [found] = told(now, Sample(1.0, {}, {}))
    assert (found.timeouts, found.timeout_rate, found.resets, found.p95_ms) == (2, 2.0, 3, None)
    assert found.connect_p95_ms is not None and 10 <= found.connect_p95_ms <= 11


def test_what_fails_on_purpose_and_beyond_the_tunnel_is_counted_for_its_edge() -> None:
    edge, beyond = "out/s/a/db/*", "beyond/s/a/db"
    counts = {
        f"{edge}.upstream_cx_total": 20,
        "http.exit.fault.s/a/db.aborts_injected": 4,
        f"{beyond}.ssl.handshake": 1,
    }
    failed = {f"{beyond}.upstream_cx_connect_fail": 2, f"{beyond}.upstream_cx_connect_timeout": 1}
    others = {"http.exit.fault.s/b/db.aborts_injected": 9, "beyond/s/b/db.upstream_cx_connect_fail": 9}
    [found] = told(Sample(2.0, counts | failed | others, {}), Sample(1.0, {}, {}))
    assert (found.requests, found.errors, found.timeouts, found.tls) == (20, 6, 1, "proven")


def test_one_hop_claims_no_handshake_not_even_a_former_one() -> None:
    edge = "out/s/a/db/*"
    counts = {f"{edge}.upstream_cx_total": 1, f"{edge}.ssl.handshake": 5}
    assert told(Sample(1.0, counts, {}, straight=frozenset({edge})), None)[0].tls == "none"
    assert told(Sample(1.0, counts, {}), None)[0].tls == "proven"


def test_a_tcp_edge_has_the_replicas_of_all_versions_and_its_bytes() -> None:
    edge = "out/s/a/db/*"
    counts = {
        f"{edge}.upstream_cx_total": 1,
        f"{edge}.upstream_cx_active": 1,
        f"{edge}.upstream_cx_rx_bytes_total": 5000,
    }
    counts |= {
        "in/s/db/v1.membership_healthy": 2,
        "in/s/db/v2.membership_healthy": 1,
        "in/s/dbx/v1.membership_healthy": 9,
    }
    [found] = told(Sample(2.0, counts, {}), Sample(1.0, {}, {}))
    assert (found.hosts, found.connections, found.received_rate, found.received) == (3, 1, 5000.0, 5000)


def test_an_open_breaker_is_seen_on_either_side_and_what_it_turned_away_is_counted() -> None:
    more = {"in/shop/pay/v1.upstream_rq_active_overflow": 4, "in/shop/pay/v1.circuit_breakers.default.remaining_rq": 3}
    [closed] = told(taken(2.0, total=1, **more), taken(1.0, total=1))
    assert (closed.breaker_open, closed.remaining, closed.overflow_rate, closed.overflows) == (False, 3, 4.0, 4)
    for cluster in (OUT, "in/shop/pay/v1"):
        [edge] = told(taken(1.0, total=1, **{f"{cluster}.circuit_breakers.default.rq_open": 1}), None)
        assert edge.breaker_open
    [other] = told(taken(1.0, total=1, **{"in/shop/pay/v2.circuit_breakers.default.rq_open": 1}), None)
    assert not other.breaker_open


def test_a_version_that_is_called_without_a_replica_is_unserved() -> None:
    ready = {"in/shop/pay/v1.membership_healthy": 1}
    assert told(taken(2.0, total=5), taken(1.0, total=1))[0].unserved
    assert not told(taken(2.0, total=5, **ready), taken(1.0, total=1))[0].unserved
    assert not told(taken(2.0, total=5), taken(1.0, total=5))[0].unserved, "nobody asks for it"


def test_where_no_breaker_is_set_nothing_remains_to_be_said() -> None:
    [edge] = told(taken(1.0, total=1), None)
    assert edge.remaining is None


def test_handshakes_say_how_an_edge_is_protected() -> None:
    proven = taken(1.0, total=1, **{f"{OUT}.ssl.handshake": 1})
    failing = taken(2.0, total=1, **{f"{OUT}.ssl.handshake": 1, f"{OUT}.ssl.fail_verify_san": 1})
    assert [told(taken(1.0, total=1), None)[0].tls, told(proven, None)[0].tls] == ["unused", "proven"]
    assert told(failing, proven)[0].tls == "failing"


def test_what_only_reads_is_told_from_the_rest_through_both_doors() -> None:
    doors = {
        "vhost.need/shop/gw/pay.vcluster.read.upstream_rq_total": 3,
        "vhost.proxy/shop/gw/pay.vcluster.read.upstream_rq_total": 2,
        "vhost.need/shop/gw/pay.vcluster.other.upstream_rq_total": 1,
        "vhost.need/shop/gw/payx.vcluster.other.upstream_rq_total": 50,
    }
    [growth] = figures.growths(taken(1.0, total=6, **doors), None).values()
    assert (growth.reads, growth.writes) == (5, 1)


def test_growths_add_up() -> None:
    one, two = Growth(requests=2, errors=1, bins={1.0: 2}), Growth(requests=3, sent=9, bins={1.0: 1, 7.0: 2})
    assert one + two == Growth(requests=5, errors=1, sent=9, bins={1.0: 3, 7.0: 2})
    assert Growth().is_nothing and not one.is_nothing


def test_every_figure_that_is_read_is_kept_by_envoy() -> None:
    """The pattern of what is read must be within what the bootstrap lets Envoy keep."""
    kept = re.compile("|".join(f"(?:{one})" for one in bootstrap.KEPT))
    for cluster, read in ((OUT, figures.READ), ("out/s/a/db/*", figures.READ_OF_TCP)):
        for name in read:
            assert kept.fullmatch(f"cluster.{cluster}.{name}"), name
            assert re.search(figures.PATTERN, f"cluster.{cluster}.{name}"), name
    for name in ("membership_healthy", "outlier_detection.ejections_active", "circuit_breakers.default.rq_open"):
        assert kept.fullmatch(f"cluster.in/shop/pay/v1.{name}"), name
    assert kept.fullmatch("vhost.need/shop/gw/pay.vcluster.other.upstream_rq_total")


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
