from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.console import answers

APP = {"app": "shop", "state": "serving", "ready": 2, "workloads": 2}


def row(name: str = "web", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "service", "version": "v1", "state": "ready", "reason": "", "error_rate": 0.0, **more}


@pytest.mark.parametrize(
    ("app", "rows", "refusals", "kind", "step"),
    [
        (APP, [row()], [], "ok", ""),
        (APP | {"state": "down"}, [], [], "info", ""),
        (APP | {"state": "failed"}, [], [], "bad", "See why"),
        (APP | {"state": "starting"}, [row(state="starting")], [], "info", ""),
        (APP, [row(), row("pay", state="crash_loop", reason="exit 1")], [], "bad", "Open pay"),
        (APP, [row(error_rate=0.2), row("pay", error_rate=0.5)], [], "warn", "Show its logs"),
        (APP, [row()], [{"message": "a called b"}], "warn", "See what would allow them"),
        (APP, [row("job", kind="job", state="failed")], [], "ok", ""),
    ],
)
def test_the_worst_is_said_first_with_where_to_look(
    app: dict[str, Any], rows: list[dict[str, Any]], refusals: list[dict[str, Any]], kind: str, step: str
) -> None:
    answer = answers.of_app(app, rows, refusals)
    assert (answer.kind, answer.step) == (kind, step)


def test_the_version_that_fails_most_is_named() -> None:
    answer = answers.of_app(APP, [row(error_rate=0.2), row("pay", version="v2", error_rate=0.5)], [])
    assert "pay v2" in answer.detail and "50.0%" in answer.detail


def test_the_tiles_count_what_enters_once() -> None:
    edges = [
        {"source": "ingress", "rate": 30.0, "error_rate": 0.0, "p95_ms": 4.0},
        {"source": "ingress", "rate": 10.0, "error_rate": 0.2, "p95_ms": 9.0},
        {"source": "web", "rate": 500.0, "error_rate": 1.0, "p95_ms": 100.0},
    ]
    made = answers.figures([row(memory_bytes=10), row(memory_bytes=None)], edges)
    assert made == {"rate": 40.0, "error_rate": pytest.approx(0.05), "p95_ms": 9.0, "memory_bytes": 10}
    assert answers.figures([], []) == {"rate": 0, "error_rate": 0.0, "p95_ms": None, "memory_bytes": None}


def edge(**more: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("rate", "error_rate", "overflow_rate", "retry_rate", "limited_rate", "timeout_rate"), 0.0)
    still = {
        "source": "web",
        "target": "pay",
        "version": "v1",
        "breaker_open": False,
        "ejected": 0,
        "hosts": 2,
        "unserved": False,
    }
    return {**still, **figures, **more}


def service(*versions: str, faults: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": "pay", "versions": [{"version": version} for version in versions], "faults": faults}


@pytest.mark.parametrize(
    ("services", "edges", "refusals", "kind", "link"),
    [
        ([service("v1")], [edge()], [], "ok", ""),
        ([service("v1", "v2")], [edge()], [], "ok", ""),
        ([service("v1")], [edge()], [{"allowed": False}], "warn", "#refused"),
        ([service("v1")], [edge()], [{"allowed": True}], "ok", ""),
        ([service("v1")], [edge(breaker_open=True)], [{"allowed": False}], "warn", "#calls"),
        ([service("v1")], [edge(ejected=1)], [], "warn", "#calls"),
        ([service("v1", faults=("f",))], [edge(breaker_open=True)], [], "warn", "#rules-pay"),
    ],
)
def test_the_traffic_page_opens_with_what_matters_most(
    services: Any, edges: Any, refusals: Any, kind: str, link: str
) -> None:
    answer = answers.of_traffic("shop", services, edges, refusals)
    assert (answer.kind, answer.link) == (kind, link)


def test_failing_calls_are_named_where_they_begin() -> None:
    chain = [edge(source="ingress", target="web", error_rate=1.0), edge(source="web", target="pay/v1", error_rate=0.5)]
    answer = answers.of_traffic("shop", [], chain, [])
    assert (answer.kind, answer.link) == ("warn", "/apps/shop/logs?workload=pay")
    assert "50.0%" in answer.detail and "web" in answer.detail


def test_a_held_edge_is_named_with_what_holds_it() -> None:
    answer = answers.of_traffic("shop", [], [edge(ejected=1), edge(source="b", breaker_open=True)], [])
    assert answer.detail == "b → pay: breaker open"


def test_shares_are_of_the_requests_of_one_service() -> None:
    edges = [edge(rate=3.0), edge(source="b", rate=3.0), edge(version="v2", rate=2.0), edge(target="silent")]
    assert answers.shares(edges) == {("pay", "v1"): 0.75, ("pay", "v2"): 0.25}
