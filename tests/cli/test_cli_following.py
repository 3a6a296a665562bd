"""An operation followed to its end, or to the daemon's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aiculturekit.cli import following
from aiculturekit.cli.clients import Answered
from aiculturekit.cli.following import follow
from aiculturekit.errors import AicError, Failed, NotFound, Unreachable

STEP = {"kind": "workload", "name": "web/v1", "state": "done", "why": "new"}


class Says:
    """A daemon that tells these events and is silent then."""

    is_far = False

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        self._events = events

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        assert path == "operations/7/events"
        yield from self._events


def followed(*events: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return follow(Says(*events), {"id": 7, "verb": "up"}, quiet=True)  # type: ignore[arg-type]


def test_the_end_is_what_the_last_event_says() -> None:
    assert followed(("step", STEP), ("done", {"id": 7, "release": 2, "error": None}))["release"] == 2


def test_an_error_at_the_end_is_raised() -> None:
    with pytest.raises(Answered, match="no"):
        followed(("done", {"id": 7, "error": {"code": "failed", "message": "no", "hint": ""}}))


def test_a_daemon_that_ends_before_the_operation_is_no_success() -> None:
    with pytest.raises(Failed, match="the daemon ended before up was done"):
        followed(("step", STEP))


class Far:
    """A platform's daemons: what each connection tells before it breaks off, and what is known afterwards."""

    is_far = True

    def __init__(self, *streams: list[tuple[str, dict[str, Any]]], known: list[dict[str, Any] | AicError]) -> None:
        self._streams, self._known = list(streams), known

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        assert path == "operations/r7/events"
        if not self._streams:
            raise Unreachable("nobody leads")
        yield from self._streams.pop(0)

    def get(self, path: str) -> dict[str, Any]:
        assert path == "placements/shop@staging/operations/r7"
        found = self._known.pop(0)
        if isinstance(found, AicError):
            raise found
        return found


def followed_far(far: Far) -> dict[str, Any]:
    operation = {"id": "r7", "app": "shop@staging", "verb": "deploy"}
    return follow(far, operation, quiet=True)  # type: ignore[arg-type]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.0)


RUNNING, DONE = {"id": "r7", "state": "running"}, {"id": "r7", "state": "done", "release": 4, "error": None}


@pytest.mark.usefixtures("quick")
def test_who_follows_hears_the_end_from_whoever_carries_it_on() -> None:
    begun = [("step", STEP)]
    assert followed_far(Far(begun, [*begun, ("done", DONE)], known=[RUNNING]))["release"] == 4
    assert followed_far(Far(begun, known=[Unreachable("nobody leads"), RUNNING, DONE]))["release"] == 4


@pytest.mark.usefixtures("quick")
def test_what_became_of_it_is_never_somebody_elses_success() -> None:
    failed = {"id": "r7", "state": "failed", "error": {"code": "failed", "message": "no", "hint": ""}}
    with pytest.raises(Answered, match="no"):
        followed_far(Far([], known=[failed]))
    with pytest.raises(Failed, match="ended before deploy was done"):
        followed_far(Far([], known=[NotFound("no operation r7")]))
