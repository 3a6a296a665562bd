"""The error tree: what a shell, the wire and a reader see of it."""

from __future__ import annotations

import pytest

from aiculturekit import errors
from aiculturekit.errors import AicError, NeverReady, Problem, SpecError


def classes(root: type[AicError] = AicError) -> set[type[AicError]]:
    return {root}.union(*(classes(sub) for sub in root.__subclasses__()))


def test_every_error_has_a_code_of_its_own() -> None:
    public = [error for error in classes() if not error.__name__.startswith("_")]
    assert len({error.code for error in public}) == len(public)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.Mistake, 1), (errors.UsageError, 2), (errors.Refused, 3), (errors.Unreachable, 3), (errors.Failed, 1)],
)
def test_exit_codes(kind: type[AicError], code: int) -> None:
    assert kind("what").exit_code == code


def test_a_message_is_followed_by_its_hint() -> None:
    error = errors.Busy("what", hint="next")
    assert str(error) == "what\n    next"
    assert error.as_dict() == {"code": "busy", "message": "what", "hint": "next"}
    assert str(errors.Busy("what")) == "what"


def test_all_problems_are_shown_with_their_places() -> None:
    problems = [Problem("services.web", "unknown key", "did you mean x?", "aic.yaml", 3, 5), Problem("app", "missing")]
    error = SpecError(problems)
    assert str(error) == "aic.yaml:3:5: services.web: unknown key\n    did you mean x?\napp: missing"
    assert [record["line"] for record in error.as_dict()["problems"]] == [3, 0]


def test_the_tail_comes_last() -> None:
    error = NeverReady("web is not ready", tail=["a", "b"], hint="look")
    assert str(error) == "web is not ready\n    look\n    | a\n    | b"
    assert error.as_dict()["tail"] == ["a", "b"]
