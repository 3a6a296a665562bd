"""What the console says of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.console import resources


def view(**given: Any) -> dict[str, Any]:
    return {
        "name": "users",
        "type": "postgres",
        "state": "ready",
        "reason": "",
        "trouble": "",
        "hit_ratio": 0.99,
        "uptime": 3_600.0,
        "faults": [],
        **given,
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "ok"),
        ({"hit_ratio": 0.5}, "warn"),
        ({"faults": ["Fault: 5% wait 1s"]}, "warn"),
        ({"hit_ratio": 0.5, "uptime": 30.0}, "ok"),
        ({"hit_ratio": 0.5, "type": "redis"}, "ok"),
        ({"hit_ratio": None}, "ok"),
        ({"trouble": "it does not answer"}, "bad"),
        ({"state": "down"}, "info"),
        ({"state": "failed", "reason": "its data is damaged"}, "bad"),
    ],
)
def test_what_is_the_case_with_a_resource(given: dict[str, Any], kind: str) -> None:
    assert resources.of_one(view(**given)).kind == kind
