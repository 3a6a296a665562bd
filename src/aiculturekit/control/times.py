"""Times as the outside sees them: ISO 8601 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

from aiculturekit.errors import Mistake
from aiculturekit.language import say


@overload
def iso(seconds: float) -> str: ...
@overload
def iso(seconds: None) -> None: ...


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch -> "2026-01-02T03:04:05.678Z"."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: str) -> float:
    """`2026-01-02T03:04:05Z` -> seconds since the epoch. Raises Mistake for what is no moment, or says no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Mistake(
            say("{text} is no moment", text=repr(text[:40])),
            hint=say("write it as 2026-11-25T08:00:00Z, or with +08:00"),
        )
    return found.timestamp()
