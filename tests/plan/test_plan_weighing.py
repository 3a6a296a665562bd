from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.errors import Mistake, NotFound
from aiculturekit.plan import weighing

CURRENT = {"v1": 90.0, "v2": 10.0}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"v2": 25.0}, {"v1": 75.0, "v2": 25.0}),
        ({"v1": 50.0, "v2": 50.0}, {"v1": 50.0, "v2": 50.0}),
        ({"v1": 100.0}, {"v1": 100.0, "v2": 0.0}),
    ],
)
def test_a_version_that_is_not_named_gets_the_rest(asked: dict[str, float], expected: dict[str, float]) -> None:
    assert weighing.completed("web", asked, current=CURRENT) == expected


def test_the_rest_keeps_its_proportions() -> None:
    current = {"v1": 60.0, "v2": 20.0, "v3": 20.0}
    assert weighing.completed("web", {"v3": 60.0}, current=current) == {"v1": 30.0, "v2": 10.0, "v3": 60.0}
    assert weighing.completed("web", {"v1": 0.0}, current={"v1": 100.0, "v2": 0.0, "v3": 0.0}) == {
        "v1": 0.0,
        "v2": 50.0,
        "v3": 50.0,
    }


@pytest.mark.parametrize("asked", [{"v1": 60.0, "v2": 60.0}, {"v1": -1.0}, {"v1": 20.0, "v2": 20.0}, {"v1": 101.0}])
def test_weights_that_do_not_add_up_are_refused(asked: dict[str, float]) -> None:
    with pytest.raises(Mistake, match="not 100%"):
        weighing.completed("web", asked, current=CURRENT)


def test_an_unknown_version_is_named_with_those_that_are_there() -> None:
    with pytest.raises(NotFound) as raised:
        weighing.completed("web", {"v9": 10.0}, current=CURRENT)
    assert "v9" in raised.value.message and "v1, v2" in raised.value.hint


@given(
    current=st.dictionaries(st.sampled_from("abcde"), st.floats(0, 100), min_size=2),
    share=st.floats(0, 100),
)
def test_the_sum_is_always_a_hundred(current: dict[str, float], share: float) -> None:
    first = next(iter(current))
    made = weighing.completed("web", {first: share}, current=current)
    assert made.keys() == current.keys()
    assert sum(made.values()) == pytest.approx(100, abs=0.05)
    assert all(weight >= 0 for weight in made.values())
