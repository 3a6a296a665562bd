"""The grammar of what a new version must hold."""

from __future__ import annotations

import pytest

from aiculturekit.errors import Mistake
from aiculturekit.plan import objectives
from aiculturekit.plan.objectives import Objective, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("errors<1%", [Objective("errors", 1.0)]),
        ("errors < 0.5 %, p95 < 400ms".replace(" %", "%"), [Objective("errors", 0.5), Objective("p95", 400.0)]),
        ("p99<2s rate>5", [Objective("p99", 2000.0), Objective("rate", 5.0)]),
        ("rate>5/s", [Objective("rate", 5.0)]),
        ("errors<stable+1%", [Objective("errors", 1.0, "+")]),
        ("p50 < stable * 1.5", [Objective("p50", 1.5, "*")]),
        ("p95<stable+50ms", [Objective("p95", 50.0, "+")]),
        ("", []),
    ],
)
def test_what_it_reads(text: str, found: list[Objective]) -> None:
    assert parse(text) == tuple(found)
    assert parse(" ".join(map(str, found))) == tuple(found)


@pytest.mark.parametrize(
    "text",
    [
        "errors>1%", "errors<1", "errors<0%", "errors<101%", "p95<400", "p95>4ms", "rate<5", "rate>5ms", "rate>stable*2", "p90<4ms",
        "errors<stable-1%", "errors<stable*2%", "errors<1% errors<2%", "fast", "errors<", "p95<stable*0",
    ],
)  # fmt: skip
def test_what_it_refuses(text: str) -> None:
    with pytest.raises(Mistake) as refused:
        parse(text)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "number"),
    [("errors<1%", 101), ("errors<5%", 21), ("errors<0.01%", 500), ("p95<1s", 20), ("p99<1s", 100), ("rate>1", 20)],
)
def test_one_bad_request_alone_breaks_nothing(text: str, number: int) -> None:
    assert objectives.least(parse(text)) == number


def test_a_bound_beside_the_stable_version() -> None:
    assert Objective("errors", 1.0, "+").bound(0.5) == 1.5
    assert Objective("p95", 1.5, "*").bound(100.0) == 150.0
    assert Objective("p95", 1.5, "*").bound(None) is None
    assert Objective("p95", 40.0).bound(None) == 40.0
