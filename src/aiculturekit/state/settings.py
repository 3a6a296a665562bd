"""Small facts by name."""

from __future__ import annotations

from sqlalchemy import Connection, select

from aiculturekit.state import rows
from aiculturekit.state.databases import relaxed
from aiculturekit.state.schema import settings


def get(connection: Connection, name: str, *, default: str | None = None) -> str | None:
    found: str | None = connection.scalar(select(settings.c.value).where(settings.c.name == name))
    return default if found is None else found


def put(connection: Connection, name: str, *, value: str) -> None:
    rows.put(connection, settings, key={"name": name}, values={"value": value})


def named(connection: Connection, prefix: str) -> list[tuple[str, str]]:
    """(name, value) of those whose names begin so, by name."""
    mine = settings.c.name.startswith(prefix, autoescape=True)
    found = connection.execute(select(settings.c.name, settings.c.value).where(mine).order_by(settings.c.name))
    return [(row.name, row.value) for row in found]


def remove(connection: Connection, name: str) -> None:
    connection.execute(settings.delete().where(settings.c.name == name))


@relaxed
def note(connection: Connection, name: str, *, value: str) -> None:
    """Put what is found out anew when it is lost."""
    put(connection, name, value=value)
