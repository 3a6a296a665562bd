"""A delivery's wish and record: what is read, what is refused, what the next daemon reads again."""

from __future__ import annotations

import json

import pytest

from aiculturekit.control import deliveries, records
from aiculturekit.control.deliveries import Wish
from aiculturekit.control.records import Record
from aiculturekit.control.verdicts import Course, Reading, Stage, Terms
from aiculturekit.errors import Mistake
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan import objectives
from aiculturekit.plan.deliveries import Delivery, Move
from aiculturekit.plan.documents import Document


def record(**changes: object) -> Record:
    slo = "errors<1% p95<stable*1.5"
    given = {
        "kind": "canary",
        "delivery": Delivery(
            "shop",
            (Document("route", "web", {"weights": {"v1": 100.0}}),),
            (Document("route", "web", {"weights": {"v1": 100.0}, "x": 1}),),
            (Move("web", "canary", "web/v1", is_temporary=True),),
        ),
        "course": Course((Stage(5.0, 30.0), Stage(100.0, None, judged=False)), at=1),
        "slo": slo,
        "terms": Terms(objectives.parse(slo), least=101, patience=300.0),
        "author": "local",
        "reason": "",
        "environment": "local",
        "file": "/shop/aic.yaml",
        "text": "app: shop",
        "sources": {"/shop": "abc"},
        "base": 3,
        "started_at": 10.0,
        "since": 12.5,
        "releases": (4, 5),
    }
    return Record(**{**given, **changes})  # type: ignore[arg-type]


def test_the_next_daemon_reads_the_same_record() -> None:
    written = json.loads(json.dumps(record().as_dict()))
    assert records.from_dict(written) == record()
    assert records.from_dict(written).as_dict() == record().as_dict()


def test_a_view_says_where_it_stands_with_both_sides_figures() -> None:
    reading = Reading("web canary", Tally(10.0, 200, 4, bins={10.0: 200}), stable=Tally(10.0, 800, 0))
    view = records.view(record(), readings=(reading,))
    assert [step["state"] for step in view["steps"]] == ["done", "now"]
    assert [(row["side"], row["requests"], row["error_rate"]) for row in view["figures"]] == [
        ("new", 200, 0.02),
        ("stable", 800, 0.0),
    ]
    assert view["figures"][0]["p95_ms"] == pytest.approx(10.95, abs=0.1)
    ended = records.view(record(state="done", ended_at=20.0))
    assert [step["state"] for step in ended["steps"]] == ["done", "done"]


def test_a_canary_has_a_stage_for_each_step() -> None:
    stages = deliveries._stages(Wish("5, 25,100%", every="1m"))
    assert [(stage.weight, stage.lasts) for stage in stages] == [(5.0, 60.0), (25.0, 60.0), (100.0, 60.0)]
    terms = deliveries._terms(Wish("5,100", every="1m"))
    assert (terms.objectives, terms.least, terms.patience) == (objectives.parse("errors<1%"), 101, 600.0)
    assert deliveries._terms(Wish("5", min_requests=7, patience="5s")).least == 7


def test_blue_green_waits_for_the_word_unless_it_is_told_how_long() -> None:
    first, second = deliveries._stages(Wish(None))
    assert (first.weight, first.lasts, first.judged, second.weight, second.lasts) == (0.0, None, False, 100.0, 600.0)
    first, second = deliveries._stages(Wish(None, slo="errors<1%", promote_after="30s"))
    assert (first.lasts, first.judged, first.needed, second.judged, second.needed) == (30.0, True, True, True, False)


@pytest.mark.parametrize("steps", ["", "0,5", "5,5", "50,20", "5,200", "a,b", "5%,x"])
def test_steps_that_do_not_grow_are_refused(steps: str) -> None:
    with pytest.raises(Mistake) as refused:
        deliveries._stages(Wish(steps))
    assert "--canary 5,25,50,100" in refused.value.hint


@pytest.mark.parametrize("wish", [Wish("5", every="soon"), Wish("5", patience="x"), Wish(None, keep="10")])
def test_times_are_durations(wish: Wish) -> None:
    with pytest.raises(Mistake):
        deliveries._stages(wish)
        deliveries._terms(wish)
