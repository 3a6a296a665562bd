"""Needs beside what was called: nothing is said that was not watched for long enough."""

from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.control import advices, times
from aiculturekit.control.sightings import Sighting
from aiculturekit.plan.documents import Document

NOW, HOUR = 1_800_000_000.0, 3600.0
LONG, JUST = NOW - 2 * HOUR, NOW - 60


def documents(*, operations: tuple[tuple[str, str], ...] = (), protocol: str = "http") -> list[Document]:
    needs = [
        {"kind": "services", "name": "orders", "operations": operations},
        {"kind": "resources", "name": "db", "operations": ()},
    ]
    return [
        Document("access", "orders", {"callers": ["web"], "protocol": protocol}),
        Document("workload", "web/v1", {"needs": needs}),
        Document("workload", "web/v2", {"needs": needs}),
        Document("workload", "orders/v1", {"needs": []}),
    ]


def refusal(at: float, **more: Any) -> dict[str, Any]:
    record = {"source": "web", "target": "pay", "at": times.iso(at), "count": 3, "message": "m", "hint": "h"}
    return record | {"file": "/x/aic.yaml", "line": 7} | more


def found(sighting: Sighting | None, *refusals: dict[str, Any], **more: Any) -> dict[str, Any]:
    sightings = {} if sighting is None else {("web", "orders"): sighting}
    return advices.advice(documents(**more), sightings, refusals, window=HOUR, now=NOW)


def test_only_services_are_compared_and_each_once() -> None:
    assert [(grant.source, grant.target) for grant in advices.grants(documents())] == [("web", "orders")]


@pytest.mark.parametrize(
    ("sighting", "verdict"),
    [
        (Sighting(LONG), "unused"),
        (Sighting(LONG, called_at=LONG), "unused"),
        (Sighting(JUST), "unknown"),
        (Sighting(JUST, called_at=LONG), "unknown"),
        (Sighting(LONG, called_at=JUST, wrote_at=JUST), "used"),
        (Sighting(LONG, called_at=JUST), "reads"),
        (Sighting(LONG, called_at=JUST, wrote_at=LONG), "reads"),
        (Sighting(JUST, called_at=JUST), "used"),
        (None, "unknown"),
    ],
)
def test_a_need_is_judged_by_what_was_watched(sighting: Sighting | None, verdict: str) -> None:
    made = found(sighting)
    assert [grant["verdict"] for grant in made["grants"]] == [verdict]
    assert [one["kind"] for one in made["findings"]] == ([verdict] if verdict in ("unused", "reads") else [])


def test_what_is_narrow_already_or_no_http_is_not_narrowed() -> None:
    reading = Sighting(LONG, called_at=JUST)
    assert found(reading, operations=(("GET", ""),))["findings"] == []
    assert found(reading, protocol="tcp")["findings"] == []


def test_it_says_since_when_it_has_watched() -> None:
    made = found(Sighting(NOW - 90))
    assert (made["watched_s"], made["since"]) == (90.0, times.iso(NOW - 90))
    assert found(None)["since"] is None


def test_an_unused_need_says_which_line_to_take_away() -> None:
    [one] = found(Sighting(LONG))["findings"]
    assert one["message"] == "web has never called orders" and one["hint"] == "remove `orders` from services.web.needs"
    [late] = found(Sighting(LONG, called_at=LONG))["findings"]
    assert times.iso(LONG) in late["message"]


def test_refusals_within_the_window_come_first_and_audited_calls_are_told_apart() -> None:
    made = found(Sighting(LONG), refusal(JUST), refusal(JUST, allowed=True), refusal(LONG), refusal(JUST, kind="token"))
    assert [one["kind"] for one in made["findings"]] == ["refused", "audit", "unused"]
    assert (made["findings"][0]["count"], made["findings"][0]["line"]) == (3, 7)
