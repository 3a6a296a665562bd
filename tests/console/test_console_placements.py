from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.console import placements, rendering
from aiculturekit.control import phrases

VIEW: dict[str, Any] = {
    "key": "shop@prod",
    "environment": "prod",
    "trouble": "",
    "state": "serving",
    "pods": [],
    "releases": [],
}
ROW = {"name": "web", "version": "v1", "state": "ready", "reason": ""}
DONE = {"state": "current", "number": 2}


@pytest.mark.parametrize(
    ("more", "kind", "step"),
    [
        ({"workloads": [ROW], "releases": [DONE]}, "ok", ""),
        ({"workloads": [], "trouble": "no answer"}, "warn", ""),
        ({"workloads": [], "state": "down"}, "info", ""),
        ({"workloads": [ROW | {"state": "failed", "reason": "OOMKilled"}]}, "bad", "See the pods"),
        ({"workloads": [ROW | {"state": "starting"}]}, "info", "See the pods"),
        ({"workloads": [ROW | {"state": "starting"}], "pods": [{"workload": "web", "reason": "Unschedulable"}]}, "bad", "See the pods"),
        ({"workloads": [ROW], "releases": [DONE | {"state": "failed"}, DONE]}, "warn", "See what it was"),
    ],
)  # fmt: skip
def test_the_worst_of_a_placement_is_said_first(more: dict[str, Any], kind: str, step: str) -> None:
    answer = placements.of_placement(VIEW | more)
    assert (answer.kind, answer.step) == (kind, step)


def test_the_environment_that_is_not_well_is_named() -> None:
    rows = [
        {"app": "shop", "environment": name, "key": f"shop@{name}", "state": state, "reason": "web: crashes"}
        for name, state in (("staging", "serving"), ("prod", "degraded"))
    ]
    answer = placements.of_environments([{"environments": rows}])
    assert (answer.kind, answer.link) == ("bad", "/placements/shop@prod")
    assert placements.of_environments([{"environments": rows[:1]}]).kind == "ok"
    assert placements.of_environments([]).kind == "info"


@pytest.mark.parametrize(
    ("success", "failing", "kind"), [(None, None, "info"), (0.5, 0.0, "warn"), (1.0, 0.5, "warn"), (1.0, None, "ok")]
)
def test_deploys_go_well_or_not(success: float | None, failing: float | None, kind: str) -> None:
    figures = {"success_rate": {"value": success, "of": 4}, "change_failure_rate": {"value": failing}}
    assert placements.of_deploys({"figures": figures}).kind == kind


@pytest.mark.parametrize(
    ("reference", "short"),
    [
        ("registry.example.com/team/web:1", "web:1"),
        (f"registry.example.com/team/web@sha256:{'ab' * 32}", "web@abababababab"),
        ("web", "web"),
        ("", ""),
    ],
)
def test_an_image_is_told_by_its_end(reference: str, short: str) -> None:
    assert rendering.image(reference) == short


def test_what_is_not_known_is_no_number() -> None:
    assert phrases.figure({"value": None, "unit": "ratio"}) == "unknown"
    assert phrases.figure({"value": 0.5, "unit": "ratio"}) == "50.0%"
    assert phrases.figure({"value": 90.0, "unit": "seconds"}) == "1.5 min"
