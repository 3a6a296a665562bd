"""How an edge reads on a terminal."""

from __future__ import annotations

from aiculturekit.cli.commands import meshes
from aiculturekit.control import flows
from aiculturekit.mesh.nodes import Edge


def test_a_well_edge_has_nothing_to_look_at() -> None:
    edge = Edge("shop", "web", "pay", "v1", rate=2.0, p50_ms=1.0, p95_ms=22.4, p99_ms=1234.0, tls="proven")
    row = meshes._row(flows.shown(edge))
    assert (row["called"], row["times"], row["reason"], row["tls"]) == ("pay v1", "1.0 / 22 / 1,234 ms", "", "verified")


def test_what_stands_in_the_way_is_said_in_words() -> None:
    edge = Edge("shop", "web", "pay", "v1", breaker_open=True, overflow_rate=3.0, ejected=1, hosts=2, limited_rate=5.0)
    assert meshes._troubles(flows.shown(edge)) == (
        "breaker open, 3.0/s turned away, 1 of 2 replicas left out, 5.0/s answered 429"
    )


def test_a_tcp_edge_shows_its_bytes() -> None:
    row = meshes._row(flows.shown(Edge("shop", "web", "db", "", received_rate=1500.0, sent_rate=500.0)))
    assert (row["called"], row["times"], row["tls"]) == ("db (tcp)", "2.0 kB/s", "not used yet")


def test_one_hop_is_not_called_verified() -> None:
    edge = flows.shown(Edge("shop", "web", "db", "", tls="none", connect_p95_ms=2.0))
    assert (meshes._row(edge)["tls"], edge["mtls"], edge["meshed"]) == ("one hop", False, True)
    assert meshes._row(edge)["times"] == "0.0 kB/s, made in 2.0 ms"


def test_the_opening_says_for_how_long_anybody_watched() -> None:
    found = {"app": "shop", "since": "2026-01-02T03:04:05.678Z", "watched_s": 60, "window_s": 3600, "findings": []}
    assert "no need is called unused yet" in meshes._opening(found, "1h")
    assert "every need was used" in meshes._opening(found | {"watched_s": 4000}, "1h")
    assert meshes._opening(found | {"since": None}, "1h").startswith("shop: no workload needs another")
