"""The delivery record: every deploy to every target, how long it took and how it ended. Kept for `KEPT` seconds."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, exists, select

from aiculturekit.state.schema import deploys, releases

KEPT = 400 * 86400.0
VERBS = ("up", "deploy", "promote", "rollback")
"""What is a deploy: making a file true, whole or step by step, bringing along what runs elsewhere, going back."""
Outcome = Literal["done", "unchanged", "failed", "back"]


@dataclasses.dataclass(frozen=True, slots=True)
class Deploy:
    """`app` is its name, or APP@ENVIRONMENT. `outcome`: done; unchanged, there was nothing to do; failed, it did not come to be true and
    was taken back; back, it had requests and was taken back for its figures or by order. `committed_at` is None where the code is not
    known to be a commit's. Times are seconds since the epoch."""

    app: str
    environment: str
    target: str
    verb: str
    author: str
    release: int | None
    started_at: float
    finished_at: float
    outcome: Outcome
    message: str = ""
    revision: str = ""
    committed_at: float | None = None


_COLUMNS = [deploys.c[field.name] for field in dataclasses.fields(Deploy)]


def append(connection: Connection, deploy: Deploy) -> None:
    connection.execute(deploys.insert().values(**dataclasses.asdict(deploy)))
    connection.execute(deploys.delete().where(deploys.c.finished_at < deploy.finished_at - KEPT))


def since(connection: Connection, moment: float, *, app: str | None = None) -> list[Deploy]:
    """Those that ended since then, oldest first; of releases that were made elsewhere, or carried on after a crash, too. Their `target` is
    empty."""
    query = select(*_COLUMNS).where(deploys.c.finished_at >= moment)
    others = (
        select(releases)
        .where(releases.c.finished_at >= moment, releases.c.verb.in_(VERBS), releases.c.state != "pending")
        .where(~exists().where(and_(deploys.c.app == releases.c.app, deploys.c.release == releases.c.number)))
    )
    if app is not None:
        query, others = query.where(deploys.c.app == app), others.where(releases.c.app == app)
    found = [Deploy(**row._mapping) for row in connection.execute(query)]
    found += [_of_release(row) for row in connection.execute(others)]
    return sorted(found, key=lambda one: one.finished_at)


def _of_release(row: Row[Any]) -> Deploy:
    return Deploy(
        app=row.app,
        environment=row.environment,
        target="",
        verb=row.verb,
        author=row.author,
        release=row.number,
        started_at=row.began_at or row.created_at,
        finished_at=row.finished_at,
        outcome="failed" if row.state == "failed" else "done",
        revision=row.revision,
        committed_at=row.committed_at,
    )
