from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.console import charts


def day(name: str, done: int = 0, failed: int = 0, seconds: float | None = None) -> dict[str, Any]:
    return {"day": name, "done": done, "failed": failed, "seconds": seconds}


def test_what_succeeded_stands_on_the_axis_and_what_failed_hangs_from_it() -> None:
    drawn = charts.bars([day("1", done=3), day("2"), day("3", done=1, failed=1)])
    first, second, third = drawn.bars
    assert (drawn.most, drawn.least) == (3, 1)
    assert first.y + first.height == pytest.approx(drawn.axis) == pytest.approx(second.y + second.height)
    assert third.y > drawn.axis and third.kind == "failed"
    assert first.height == pytest.approx(3 * second.height)


@pytest.mark.parametrize("days", [[], [day("1")]])
def test_nothing_is_drawn_of_nothing(days: list[dict[str, Any]]) -> None:
    assert charts.bars(days).bars == ()
    assert charts.line(days).path == ""


def test_a_line_goes_through_the_days_that_have_a_value_and_stays_within() -> None:
    drawn = charts.line([day("1", seconds=2.0), day("2"), day("3", seconds=4.0)])
    assert [name for _, _, name, _ in drawn.points] == ["1", "3"]
    assert drawn.most == 4.0
    assert drawn.points[1][1] == charts.MARGIN < drawn.points[0][1] < charts.HEIGHT - charts.MARGIN
    assert drawn.path.count("L") == 1
