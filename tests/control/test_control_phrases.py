"""Traffic rules in words."""

from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.control import phrases
from aiculturekit.spec.traffic import Match, Traffic, Way


def texts(written: dict[str, Any]) -> dict[str, str]:
    body = Traffic.model_validate(written).model_dump(mode="json")
    return {rule["key"]: rule["text"] for rule in phrases.rules(body)}


def test_the_defaults_are_said_too() -> None:
    assert texts({}) == {"timeout": "an answer within 15s", "retries": "one retry"}


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        ("timeout", "500ms", "an answer within 500ms"),
        ("retries", {"attempts": 2, "on": "5xx,reset", "per_try": "1s", "budget": "20%"},
         "up to 2 retries on 5xx, reset, 1s for each try, at most 20% of the requests"),
        ("breaker", {"errors": "50%", "over": "10s", "max_requests": 4},
         "a replica with 50% errors within 10s is left out; at most 4 in flight"),
        ("breaker", {"consecutive": 5, "over": "1m"}, "a replica with 5 errors in a row is left out for 1m"),
        ("limit", ["500/s", {"requests": 10, "per": "1m", "by": "client"}, {"requests": 1, "by": {"header": "x-key"}}],
         "500/s, 10/m each client, 1/s each header x-key"),
        ("balance", {"header": "x-user"}, "equal header x-user goes to the same replica"),
        ("zones", ["eu-west/a", "us-east"], "the nearest place whose replicas are well: eu-west/a, us-east"),
        ("sticky", "who", "who came once comes back to the same, by cookie who"),
        ("mirror", "v2", "a copy of 100% goes to v2"),
        ("headers", {"request": {"set": {"x-a": "1"}, "remove": ["x-b"]}, "response": {"add": {"x-c": "2"}}},
         "changes x-a, -x-b, +x-c"),
        ("cors", "https://a.example", "pages of https://a.example may call it"),
        ("max_body", "1Mi", "a body of 1 MB at most"),
    ],
)  # fmt: skip
def test_each_rule_has_its_words(key: str, written: Any, expected: str) -> None:
    assert texts({key: written})[key] == expected


def test_a_fault_is_a_warning_that_says_what_to_remove() -> None:
    body = Traffic.model_validate(
        {
            "fault": {"abort": 503, "share": "10%"},
            "routes": [{"match": {"path": "/x"}, "fault": {"delay": "2s", "when": {"header": {"x-t": "1"}}}}],
        }
    ).model_dump(mode="json")
    assert phrases.faults(body) == [
        "Fault: 10% answer 503 — remove it from traffic.fault",
        "Fault: 100% wait 2s (x-t: 1) — remove it from traffic.routes.0.fault",
    ]
    assert [rule["key"] for rule in phrases.rules(body) if rule["level"] == "warning"] == ["fault", "routes.0"]
    assert phrases.faults(Traffic().model_dump(mode="json")) == []


def test_a_fault_of_connections_names_whose_they_are() -> None:
    written = {"fault": {"delay": "200ms", "abort": True, "share": "5%", "callers": "web"}}
    body = Way.model_validate(written).model_dump(mode="json", exclude_none=True)
    [told] = phrases.faults(body)
    assert told == "Fault: 5% wait 200ms, break the connection off (web) — remove it from traffic.fault"


def test_a_match_is_one_line() -> None:
    match = Match.model_validate(
        {
            "path": "/api",
            "method": "GET",
            "header": {"x-beta": "true", "x-any": {"present": True}},
            "cookie": {"c": {"prefix": "a"}},
        }
    )
    assert phrases.matched(match.model_dump(mode="json")) == "GET, /api*, x-beta: true, x-any: any, cookie c: a…"
    assert phrases.matched(None) == ""


def test_a_route_is_said_with_what_it_takes() -> None:
    routes = [
        {"match": {"path": "/old"}, "redirect": "/new"},
        {"match": {"path": {"exact": "/x"}}, "version": "v2", "timeout": "1m"},
        {"match": {"path": {"regex": "/a.*"}}},
    ]
    found = texts({"routes": routes})
    assert found["routes.0"] == "/old* → redirected to /new (302)"
    assert found["routes.1"] == "/x → always v2; an answer within 1m"
    assert found["routes.2"] == "~ /a.* → as all others"
