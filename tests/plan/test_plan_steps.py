from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.errors import Protected
from aiculturekit.plan import holds
from aiculturekit.plan.documents import RANKS, Document
from aiculturekit.plan.steps import Step, diff, waves


def document(kind: str, name: str, **body: Any) -> Document:
    return Document(kind, name, body)


documents = st.lists(
    st.builds(
        Document,
        kind=st.sampled_from(sorted(RANKS)),
        name=st.sampled_from(["a", "b", "c/v1", "c/v2"]),
        body=st.fixed_dictionaries({"type": st.sampled_from(["sqlite", "volume"]), "x": st.integers(0, 2)}),
    ),
    unique_by=lambda d: d.key,
    max_size=8,
)


def perform(observed: list[Document], steps: tuple[Step, ...]) -> list[Document]:
    there = {d.key: d for d in observed}
    for step in steps:
        if step.action == "delete":
            del there[step.document.key]
        else:
            assert (step.document.key in there) == (step.action == "update")
            there[step.document.key] = step.document
    return list(there.values())


@given(documents, documents)
def test_performing_the_difference_makes_it_true_and_then_there_is_none(
    desired: list[Document], observed: list[Document]
) -> None:
    after = perform(observed, diff(desired, observed))
    assert {d.key: d.digest for d in after} == {d.key: d.digest for d in desired}
    assert diff(desired, after) == ()


@given(documents, documents)
def test_what_others_stand_on_comes_first_and_goes_last(desired: list[Document], observed: list[Document]) -> None:
    steps = diff(desired, observed)
    made = [RANKS[s.document.kind] for s in steps if s.action != "delete"]
    gone = [RANKS[s.document.kind] for s in steps if s.action == "delete"]
    assert made == sorted(made)
    assert gone == sorted(gone, reverse=True)
    assert [s.action == "delete" for s in steps] == sorted(s.action == "delete" for s in steps)


@given(documents, documents)
def test_waves_are_all_the_steps_in_order(desired: list[Document], observed: list[Document]) -> None:
    steps = diff(desired, observed)
    assert tuple(step for wave in waves(steps) for step in wave) == steps


def test_a_step_says_why_and_where() -> None:
    before, after = (
        document("workload", "web/v1", run="a", source="1"),
        document("workload", "web/v1", run="b", source="1"),
    )
    (step,) = diff([after], [before])
    assert (step.action, step.why, step.path) == ("update", "changed: run", "services.web")
    (code,) = diff([document("workload", "web/v1", run="a", source="2")], [before])
    assert code.why == "its code changed"
    (gone,) = diff([], [document("ingress", "/", service="web")])
    assert gone.path == "services.web.public"


def test_a_protected_resource_is_neither_deleted_nor_replaced() -> None:
    kept = document("resource", "db", type="sqlite", protected=True)
    for desired in ([], [document("resource", "db", type="volume", protected=True)]):
        with pytest.raises(Protected, match="resources/db"):
            diff(desired, [kept])


def test_protection_goes_in_one_step_and_the_resource_in_the_next() -> None:
    kept = document("resource", "db", type="sqlite", protected=True)
    free = document("resource", "db", type="sqlite", protected=False)
    assert [step.action for step in diff([free], [kept])] == ["update"]
    assert [step.action for step in diff([], [free])] == ["delete"]


def test_a_shifted_weight_holds_until_the_file_says_something_new() -> None:
    file = document("route", "pay", weights={"v1": 90.0, "v2": 10.0})
    shifted = holds.hold(file, value={"v1": 50.0, "v2": 50.0})
    assert holds.carry([file], observed=[shifted]) == (shifted,)
    assert diff(holds.carry([file], observed=[shifted]), [shifted]) == ()

    edited = document("route", "pay", weights={"v1": 0.0, "v2": 100.0})
    assert holds.carry([edited], observed=[shifted]) == (edited,)


def test_setting_a_held_value_back_ends_the_hold() -> None:
    file = document("workload", "web/v1", scale={"min": 1, "max": 1})
    scaled = holds.hold(file, value={"min": 3, "max": 3})
    back = holds.hold(scaled, value={"min": 1, "max": 1})
    assert back.digest == file.digest


def test_a_hold_keeps_the_rest_of_the_new_file() -> None:
    shifted = holds.hold(document("route", "pay", weights={"v1": 90.0}, timeout=1), value={"v1": 50.0})
    newer = document("route", "pay", weights={"v1": 90.0}, timeout=2)
    (carried,) = holds.carry([newer], observed=[shifted])
    assert (carried.body["weights"], carried.body["timeout"]) == ({"v1": 50.0}, 2)


def test_a_digest_depends_on_content_and_not_on_order() -> None:
    assert document("route", "a", x=1, y=2).digest == document("route", "a", y=2, x=1).digest
    assert document("route", "a", x=1).digest != document("route", "a", x=2).digest
    assert dataclasses.replace(document("route", "a", x=1), name="b").key == ("route", "b")
