"""An operation followed to its end, or to the daemon's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aiculturekit.cli.clients import Answered
from aiculturekit.cli.following import follow
from aiculturekit.errors import Failed

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
