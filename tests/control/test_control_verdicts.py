"""The decisions of a delivery: by example, and as properties that hold for any figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiculturekit.control import verdicts
from aiculturekit.control.verdicts import Course, Reading, Stage, Terms, Verdict, judge
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan import objectives

SLO = objectives.parse("errors<1% p95<400ms")
TERMS = Terms(SLO, least=objectives.least(SLO), patience=300.0)
STAGE = Stage(5.0, 30.0)


def tally(requests: int, *, errors: int = 0, slow: int = 0, seconds: float = 10.0) -> Tally:
    return Tally(seconds, requests, errors, bins={10.0: requests - slow, 800.0: slow})


def verdict(
    stage: Tally, *, recent: Tally | None = None, elapsed: float = 10.0, terms: Terms = TERMS, **rest: Tally
) -> Verdict:
    reading = Reading("web canary", stage, recent or stage, **rest)
    return judge(STAGE, terms, elapsed=elapsed, readings=[reading])


def test_it_waits_for_the_time_and_goes_forward_after_it() -> None:
    assert verdict(tally(500), elapsed=29.0).kind == "wait"
    assert verdict(tally(500), elapsed=30.0).kind == "forward"


def test_errors_send_it_back_at_once_with_the_figures() -> None:
    found = verdict(tally(310, errors=38))
    assert (found.kind, found.reason) == (
        "back",
        "web canary answered 12.3% errors of 310 requests over 10 s, allowed is errors<1%",
    )


def test_a_few_errors_are_enough_when_even_good_answers_could_not_mend_them() -> None:
    assert verdict(tally(2, errors=2), elapsed=1.0).kind == "back"
    assert verdict(tally(2, errors=1), elapsed=1.0).kind == "wait"


def test_what_fails_late_is_seen_in_the_last_seconds() -> None:
    assert verdict(tally(10_000, errors=20), recent=tally(200, errors=20)).kind == "back"


def test_slow_answers_send_it_back() -> None:
    found = verdict(tally(300, slow=30))
    assert (found.kind, "p95" in found.reason, "30 of 300" in found.reason) == ("back", True, True)
    assert verdict(tally(300, slow=10), elapsed=30.0).kind == "forward"


def test_too_few_requests_wait_and_then_go_back() -> None:
    found = verdict(tally(40), elapsed=31.0)
    assert (found.kind, "not enough requests to judge yet: web canary 40 of 101" in found.reason) == ("wait", True)
    found = verdict(tally(40), elapsed=300.0)
    assert (found.kind, "not enough requests to judge: web canary 40 of 101" in found.reason) == ("back", True)


def test_beside_the_stable_version() -> None:
    terms = Terms(objectives.parse("errors<stable+1% p95<stable*2"), least=101, patience=300.0)
    sick = tally(1000, errors=50)
    assert verdict(tally(1000, errors=55), elapsed=30.0, terms=terms, stable=sick).kind == "forward"
    found = verdict(tally(1000, errors=65), elapsed=30.0, terms=terms, stable=sick)
    assert (found.kind, "(now 6.0%)" in found.reason) == ("back", True)
    assert "stable version 3 of 101" in verdict(tally(1000), elapsed=30.0, terms=terms, stable=tally(3)).reason
    assert verdict(tally(1000, slow=200), terms=terms, stable=sick).kind == "back"


def test_a_rate_is_judged_when_the_stage_is_over() -> None:
    terms = Terms(objectives.parse("rate>5"), least=20, patience=300.0)
    assert verdict(tally(30, seconds=30.0), terms=terms).kind == "wait"
    assert verdict(tally(30, seconds=30.0), terms=terms, elapsed=30.0).kind == "back"
    assert verdict(tally(300, seconds=30.0), terms=terms, elapsed=30.0).kind == "forward"


def test_a_stage_without_an_end_waits_for_the_word_but_not_with_errors() -> None:
    manual = Stage(0.0, None)
    assert judge(manual, TERMS, elapsed=1e6, readings=[Reading("web", tally(500))]).kind == "wait"
    assert judge(manual, TERMS, elapsed=1.0, readings=[Reading("web", tally(500, errors=50))]).kind == "back"


def test_a_stage_that_needs_no_requests_ends_without_them() -> None:
    kept = Stage(100.0, 60.0, needed=False)
    assert judge(kept, TERMS, elapsed=60.0, readings=[Reading("web")]).kind == "forward"
    assert judge(kept, TERMS, elapsed=60.0, readings=[Reading("web", tally(5, errors=1))]).kind == "forward"


tallies = st.builds(
    lambda requests, errors, slow, seconds: tally(
        requests, errors=min(errors, requests), slow=min(slow, requests), seconds=seconds
    ),
    st.integers(0, 3000),
    st.integers(0, 60),
    st.integers(0, 400),
    st.floats(0.1, 100),
)
readings = st.lists(st.builds(Reading, st.sampled_from(["a", "b"]), tallies, tallies, tallies), min_size=1, max_size=2)
slos = st.sampled_from(
    ["errors<1%", "errors<0.1% p95<400ms", "p99<2s rate>2", "errors<stable+1%", "p95<stable*1.5 errors<5%"]
).map(objectives.parse)
terms_of = st.builds(Terms, slos, st.integers(1, 300), st.floats(1, 200))
stages_of = st.lists(
    st.builds(Stage, st.sampled_from([0.0, 5.0, 25.0, 50.0, 100.0]), st.floats(0.1, 60), needed=st.booleans()),
    min_size=1,
    max_size=5,
).map(tuple)


@given(terms_of, stages_of, st.lists(st.tuples(st.floats(0.1, 20), readings), min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_no_stage_is_skipped_and_none_is_left_before_its_time(
    terms: Terms, stages: tuple[Stage, ...], looks: list[tuple[float, list[Reading]]]
) -> None:
    course, elapsed = Course(stages), 0.0
    for pause, found in looks:
        elapsed += pause
        ruling = judge(course.stage, terms, elapsed=elapsed, readings=found)
        after = course.after(ruling)
        assert ruling.reason
        assert after.at - course.at in (0, 1)
        if ruling.kind == "forward":
            assert elapsed >= (course.stage.lasts or 0.0)
        if after.end == "done":
            assert course.at == len(stages) - 1
        if after != course:
            elapsed = 0.0
        course = after
        if course.end:
            assert course.after(Verdict("forward", "more")) == course
            break


@given(terms_of, st.floats(0, 500), readings)
@settings(max_examples=400, deadline=None)
def test_it_never_goes_forward_on_a_broken_objective(terms: Terms, elapsed: float, found: list[Reading]) -> None:
    if judge(STAGE, terms, elapsed=elapsed, readings=found).kind != "forward":
        return
    for reading in found:
        assert reading.stage.requests >= terms.least
        for objective in terms.objectives:
            shown = {
                "errors": reading.stage.error_share, "rate": reading.stage.rate, "p50": reading.stage.percentile(0.5),
                "p95": reading.stage.percentile(0.95), "p99": reading.stage.percentile(0.99),
            }[objective.measure]  # fmt: skip
            stable = {"errors": reading.stable.error_share, "rate": None}.get(
                objective.measure, reading.stable.percentile(objectives.SHARES.get(objective.measure, 0.5))
            )
            bound = objective.bound(stable)
            assert shown is not None and bound is not None
            assert shown > bound if objective.measure == "rate" else shown <= bound * 1.0001


@given(terms_of, stages_of, st.lists(readings, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_it_always_ends(terms: Terms, stages: tuple[Stage, ...], cycle: list[list[Reading]]) -> None:
    """Whatever the figures are: after the sum of what each stage may last at most."""
    course, elapsed, total = Course(stages), 0.0, 0.0
    longest = sum(max(terms.patience, stage.lasts or 0.0) + 1.0 for stage in stages)
    while not course.end:
        assert total <= longest + len(stages)
        after = course.after(judge(course.stage, terms, elapsed=elapsed, readings=cycle[int(total) % len(cycle)]))
        elapsed = 0.0 if after != course else elapsed + 1.0
        total += 1.0
        course = after


@pytest.mark.parametrize("errors", [1, 3, 30])
def test_how_soon_errors_are_seen(errors: int) -> None:
    """With a canary that fails all of its requests, the second one is enough for errors<1%."""
    assert verdict(tally(errors, errors=errors), elapsed=0.5).kind == ("wait" if errors == 1 else "back")


def test_figures_of_several_services_stand_in_one_line() -> None:
    assert verdicts.figures([Reading("a", tally(100)), Reading("b")]) == (
        "a: 0.0% errors, p95 10 ms of 100 requests over 10 s; b: no request yet"
    ).replace("p95 10 ms", f"p95 {tally(100).percentile(0.95):.0f} ms")
