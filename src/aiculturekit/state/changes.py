"""The timeline: what happened, for people. The last `KEPT` are kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from aiculturekit.state.databases import relaxed
from aiculturekit.state.schema import changes

KEPT = 10_000
_EVERY = 100


@relaxed
def append(
    connection: Connection,
    *,
    at: float,
    app: str,
    workload: str,
    kind: str,
    message: str,
    level: str,
    author: str,
) -> int:
    """Add one, `at` in seconds since the epoch; answers its id, which is higher than all before. Prunes now and
    then."""
    values = {
        "at": at,
        "app": app,
        "workload": workload,
        "kind": kind,
        "message": message,
        "level": level,
        "author": author,
    }
    identifier: int = connection.execute(changes.insert().values(**values).returning(changes.c.id)).scalar_one()
    if identifier % _EVERY == 0:
        prune(connection, keep=KEPT)
    return identifier


def recent(connection: Connection, *, app: str | None = None, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
    """The last changes with an id above `after`, newest first: `{"id", "at", "app", "workload", "kind", "message",
    "level", "author"}`."""
    query = select(changes).where(changes.c.id > after).order_by(changes.c.id.desc()).limit(limit)
    if app is not None:
        query = query.where(changes.c.app == app)
    return [dict(row) for row in connection.execute(query).mappings()]


def prune(connection: Connection, *, keep: int = KEPT) -> None:
    """Forget all but the last `keep`."""
    oldest_kept = select(changes.c.id).order_by(changes.c.id.desc()).offset(keep - 1).limit(1).scalar_subquery()
    connection.execute(changes.delete().where(changes.c.id < oldest_kept))
