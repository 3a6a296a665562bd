"""Deliveries under way and the last one of each application, as plain JSON; and which releases were only steps of one."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select

from aiculturekit.state import settings
from aiculturekit.state.schema import settings as table

_RECORD, _STEPS = "delivery/", "delivery-steps/"
_KEPT = 500


def put(connection: Connection, app: str, *, record: dict[str, Any]) -> None:
    settings.put(connection, f"{_RECORD}{app}", value=json.dumps(record))


def get(connection: Connection, app: str) -> dict[str, Any] | None:
    text = settings.get(connection, f"{_RECORD}{app}")
    return json.loads(text) if text else None


def all_of(connection: Connection) -> list[dict[str, Any]]:
    """One record for each application that ever had a delivery, by name."""
    found = connection.scalars(select(table.c.value).where(table.c.name.like(f"{_RECORD}%")).order_by(table.c.name))
    return [json.loads(text) for text in found]


def pass_over(connection: Connection, app: str, *, releases: list[int]) -> None:
    """These releases are no place to go back to by default: steps of a delivery, or the same as a later one."""
    kept = [*passed(connection, app), *releases][-_KEPT:]
    settings.put(connection, f"{_STEPS}{app}", value=json.dumps(kept))


def passed(connection: Connection, app: str) -> list[int]:
    found: list[int] = json.loads(settings.get(connection, f"{_STEPS}{app}") or "[]")
    return found
