"""Releases: what an application was asked to be, numbered from 1 without gaps; at most one of them is the current
one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.state import rows
from aiculturekit.state.schema import releases

State = Literal["pending", "current", "superseded", "failed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """One release. `file` is the application file's path and `text` its content; `documents` is all that was wanted,
    `steps` the plan's steps; `sources` maps code directories to digests. `verb` is what made it, `began_at` when that was asked for,
    `revision` the Git commit of the code and `committed_at` its time, None where the code was not as committed. Times are seconds since
    the epoch."""

    app: str
    number: int
    environment: str
    author: str
    reason: str
    created_at: float
    finished_at: float | None
    state: State
    file: str
    text: str = dataclasses.field(default="", repr=False)
    documents: tuple[dict[str, Any], ...] = dataclasses.field(default=(), hash=False, repr=False)
    steps: tuple[dict[str, Any], ...] = dataclasses.field(default=(), hash=False, repr=False)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False, repr=False)
    verb: str = ""
    began_at: float | None = None
    revision: str = ""
    committed_at: float | None = None


_SUMMARY = [column for column in releases.c if column.name not in ("text", "documents")]


def begin(
    connection: Connection,
    app: str,
    *,
    environment: str,
    author: str,
    reason: str,
    file: str,
    text: str,
    documents: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
    sources: Mapping[str, str],
    now: float,
    verb: str = "",
    began_at: float | None = None,
    revision: str = "",
    committed_at: float | None = None,
) -> int:
    """A new pending release; answers its number: the application's next one."""
    last = connection.scalar(select(func.max(releases.c.number)).where(releases.c.app == app)) or 0
    connection.execute(
        releases.insert().values(
            app=app,
            number=last + 1,
            environment=environment,
            author=author,
            reason=reason,
            created_at=now,
            state="pending",
            file=file,
            text=text,
            documents=list(documents),
            steps=list(steps),
            sources=dict(sources),
            verb=verb,
            began_at=began_at,
            revision=revision,
            committed_at=committed_at,
        )
    )
    return last + 1


def finish(connection: Connection, app: str, number: int, *, state: State, now: float) -> None:
    """End the release; one that becomes the current one supersedes the one before. Raises NotFound."""
    mine = releases.c.app == app
    if state == "current":
        earlier = releases.update().where(mine, releases.c.state == "current", releases.c.number != number)
        connection.execute(earlier.values(state="superseded"))
    ended = releases.update().where(mine, releases.c.number == number).values(state=state, finished_at=now)
    if connection.execute(ended).rowcount == 0:
        raise NotFound(say("{app} has no release {number}", app=app, number=number))


def tell(connection: Connection, app: str, number: int, *, kind: str, name: str, output: Sequence[str]) -> None:
    """What a step printed is kept with it. Nothing happens for a step that the release has not."""
    mine = [releases.c.app == app, releases.c.number == number]
    steps = connection.scalar(select(releases.c.steps).where(*mine)) or []
    told = [step | {"output": list(output)} if (step["kind"], step["name"]) == (kind, name) else step for step in steps]
    connection.execute(releases.update().where(*mine).values(steps=told))


def get(connection: Connection, app: str, number: int) -> Release | None:
    row = connection.execute(select(releases).where(releases.c.app == app, releases.c.number == number)).first()
    return _release(row) if row else None


def current(connection: Connection, app: str) -> Release | None:
    """The release in force."""
    row = connection.execute(select(releases).where(releases.c.app == app, releases.c.state == "current")).first()
    return _release(row) if row else None


def history(connection: Connection, app: str, *, limit: int = 50) -> list[Release]:
    """The last releases, newest first, without the big columns: `text` and `documents` are empty."""
    newest = select(*_SUMMARY).where(releases.c.app == app).order_by(releases.c.number.desc())
    return [_release(row) for row in connection.execute(newest.limit(limit))]


def latest(connection: Connection, app: str) -> Release | None:
    """The newest release in whatever state, as `history` has it."""
    return next(iter(history(connection, app, limit=1)), None)


def apps(connection: Connection) -> list[str]:
    """Every application that ever had a release, by name."""
    return list(connection.scalars(select(releases.c.app).distinct().order_by(releases.c.app)))


def supersede(connection: Connection, app: str) -> None:
    """None is the current one any more."""
    current = releases.update().where(releases.c.app == app, releases.c.state == "current")
    connection.execute(current.values(state="superseded"))


def keep(connection: Connection, release: Release) -> None:
    """A release that another machine made, in place of what has its number here."""
    values = dataclasses.asdict(release)
    key = {name: values.pop(name) for name in ("app", "number")}
    lists = {name: list(values[name]) for name in ("documents", "steps")}
    rows.put(connection, releases, key=key, values={**values, **lists, "sources": dict(release.sources)})


def _release(row: Row[Any]) -> Release:
    values = dict(row._mapping)
    return Release(**values | {name: tuple(values[name]) for name in ("documents", "steps") if name in values})
