from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.control import statistics
from aiculturekit.state.deploys import Deploy

DAY = 86400.0


def deploy(
    at: float, *, took: float = 10.0, outcome: Any = "done", verb: str = "deploy", app: str = "shop@prod", **more: Any
) -> Deploy:
    return Deploy(
        app=app, environment="prod", target="", verb=verb, author="ada", release=1, started_at=at - took, finished_at=at,
        outcome=outcome, **more,
    )  # fmt: skip


def value(name: str, *deploys: Deploy) -> float | None:
    found: float | None = statistics.figures(deploys, seconds=10 * DAY)[name]["value"]
    return found


def test_nothing_known_is_no_number_but_a_reason() -> None:
    found = statistics.figures([], seconds=DAY)
    assert {one["value"] for one in found.values()} == {None}
    assert {one["why"] for one in found.values()} == {"nothing was deployed in this time"}


def test_what_changed_nothing_is_no_deploy() -> None:
    assert statistics.figures([deploy(1, outcome="unchanged")], seconds=DAY)["success_rate"]["of"] == 0


def test_success_frequency_and_times() -> None:
    deploys = [deploy(at * 100.0, took=at) for at in range(1, 20)] + [deploy(5000, took=500, outcome="failed")]
    assert value("success_rate", *deploys) == 19 / 20
    assert value("frequency", *deploys) == 1.9
    assert value("deploy_time_mean", *deploys) == 10
    assert value("deploy_time_p95", *deploys) == 19


def test_a_delivery_in_steps_lasts_as_long_as_it_is_told() -> None:
    assert value("deploy_time_mean", deploy(1, took=900, app="shop"), deploy(2, took=2, verb="up", app="shop")) == 2


def test_lead_time_is_from_the_commit_once_for_each_place() -> None:
    first = deploy(1000, revision="a", committed_at=400)
    again = deploy(5000, revision="a", committed_at=400)
    elsewhere = deploy(1400, revision="a", committed_at=400, app="shop@staging")
    back = deploy(9000, revision="b", committed_at=0, verb="rollback")
    assert value("lead_time_mean", first, again, elsewhere, back) == (600 + 1000) / 2


@pytest.mark.parametrize(
    ("revision", "why"), [("", "the code is in no Git repository"), ("a", "the code was not as committed")]
)
def test_an_unknown_lead_time_says_why(revision: str, why: str) -> None:
    found = statistics.figures([deploy(1, revision=revision)], seconds=DAY)["lead_time_mean"]
    assert (found["value"], found["why"]) == (None, why)


def test_a_change_fails_when_the_next_thing_is_to_go_back() -> None:
    deploys = [
        deploy(100),
        deploy(200),
        deploy(260, verb="rollback"),
        deploy(300),
        deploy(320, verb="rollback", app="blog"),
    ]
    assert value("change_failure_rate", *deploys) == 1 / 3
    assert value("restore_time_mean", *deploys) == 60


def test_one_change_is_taken_back_once() -> None:
    twice = [deploy(100), deploy(200), deploy(210, verb="rollback"), deploy(220, verb="rollback")]
    assert value("change_failure_rate", *twice) == 1 / 2


def test_a_delivery_that_went_back_failed_and_was_restored_when_it_ended() -> None:
    back = deploy(1000, took=30, outcome="back", app="shop")
    assert value("change_failure_rate", back, deploy(2000, verb="up", app="shop")) == 1 / 2
    assert value("restore_time_mean", back) == 30


def test_a_deploy_that_never_reached_anybody_is_no_failed_change() -> None:
    assert value("change_failure_rate", deploy(1), deploy(2, outcome="failed")) == 0
    found = statistics.figures([deploy(1)], seconds=DAY)["restore_time_mean"]
    assert (found["value"], found["why"]) == (None, "no change had to be taken back")


def test_every_day_has_a_row() -> None:
    rows = statistics.days([deploy(2.5 * DAY), deploy(2.6 * DAY, outcome="failed")], until=3.5 * DAY, seconds=3 * DAY)
    assert [(row["day"], row["done"], row["failed"], row["seconds"]) for row in rows] == [
        ("1970-01-01", 0, 0, None),
        ("1970-01-02", 0, 0, None),
        ("1970-01-03", 1, 1, 10.0),
        ("1970-01-04", 0, 0, None),
    ]
