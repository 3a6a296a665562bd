"""The journal: what was begun, how far it got, how it ended. Written before anything is touched, read after a crash.

An application has at most one running operation; the database itself sees to it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.exc import IntegrityError

from aiculturekit.errors import Busy, NotFound
from aiculturekit.language import say
from aiculturekit.state import documents
from aiculturekit.state.databases import relaxed
from aiculturekit.state.schema import operation_steps, operations

State = Literal["running", "done", "failed", "undone"]
StepState = Literal["pending", "started", "done", "failed", "undone"]
KEPT = 200
"""Ended operations that are kept of each application: the releases are its history, the journal is for recovery."""


@dataclasses.dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of an operation; `step` is as the plan has it, `error` why it failed."""

    index: int
    step: Mapping[str, Any] = dataclasses.field(hash=False)
    state: StepState
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one application: documents `wanted`, and those in force `before`. Times are seconds since the
    epoch."""

    id: int
    app: str
    verb: str
    author: str
    state: State
    release: int | None
    wanted: tuple[dict[str, Any], ...] = dataclasses.field(hash=False, repr=False)
    before: tuple[dict[str, Any], ...] = dataclasses.field(hash=False, repr=False)
    steps: tuple[StepRecord, ...] = dataclasses.field(hash=False, repr=False)
    error: Mapping[str, Any] | None = dataclasses.field(hash=False)
    started_at: float
    finished_at: float | None


def begin(
    connection: Connection,
    *,
    app: str,
    verb: str,
    author: str,
    release: int | None,
    wanted: Sequence[Mapping[str, Any]],
    before: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
    now: float,
) -> int:
    """Journal a running operation with its pending steps; answers its id. Raises Busy while another one of the
    application runs."""
    values = {"app": app, "verb": verb, "author": author, "release": release, "started_at": now, "state": "running"}
    row = operations.insert().values(**values, wanted=list(wanted), before=list(before)).returning(operations.c.id)
    try:
        identifier: int = connection.execute(row).scalar_one()
    except IntegrityError:
        raise Busy(
            say("another operation on {app} is still running", app=app),
            hint=say("wait for it to end; `aic ps` shows it"),
        ) from None
    pending = [
        {"operation": identifier, "index": at, "step": step, "state": "pending"} for at, step in enumerate(steps)
    ]
    if pending:
        connection.execute(operation_steps.insert(), pending)
    return identifier


@relaxed
def mark(
    connection: Connection,
    identifier: int,
    *,
    index: int,
    state: StepState,
    error: str | None = None,
    step: Mapping[str, Any] | None = None,
) -> None:
    """The step is now in `state`. A step found only when resuming has an index behind the journalled ones; it is
    journalled now, as `step`."""
    mine = operation_steps.update().where(operation_steps.c.operation == identifier, operation_steps.c.index == index)
    if connection.execute(mine.values(state=state, error=error)).rowcount == 0:
        late = {"operation": identifier, "index": index, "step": dict(step or {}), "state": state, "error": error}
        connection.execute(operation_steps.insert().values(**late))


@relaxed
def start(connection: Connection, identifier: int, *, steps: Mapping[int, Mapping[str, Any]]) -> None:
    """These steps, by index, are started: those of a wave in one transaction."""
    for index, step in steps.items():
        mark(connection, identifier, index=index, state="started", step=step)


@relaxed
def complete(
    connection: Connection,
    identifier: int,
    *,
    index: int,
    app: str,
    document: Mapping[str, Any] | None,
    remove: tuple[str, str] | None,
) -> None:
    """The step is done, and what it did is recorded with it: `document` is in force, the (kind, name) to `remove` is
    not."""
    mark(connection, identifier, index=index, state="done")
    if document is not None:
        documents.put(connection, app, document=document)
    if remove is not None:
        documents.remove(connection, app, kind=remove[0], name=remove[1])


def finish(
    connection: Connection, identifier: int, *, state: State, error: Mapping[str, Any] | None, now: float
) -> None:
    """End the operation, and forget the oldest ended ones of its application. Raises NotFound."""
    mine = operations.c.id == identifier
    app = connection.scalar(select(operations.c.app).where(mine))
    if app is None:
        raise NotFound(say("no operation {id}", id=identifier))
    ended = {"state": state, "error": None if error is None else dict(error), "finished_at": now}
    connection.execute(operations.update().where(mine).values(**ended))
    _forget(connection, app)


def get(connection: Connection, identifier: int) -> Operation | None:
    return next(iter(_read(connection, select(operations).where(operations.c.id == identifier))), None)


def unfinished(connection: Connection) -> list[Operation]:
    """Every operation that a crash interrupted (or that runs), oldest first."""
    return _read(connection, select(operations).where(operations.c.state == "running").order_by(operations.c.id))


def recent(connection: Connection, *, app: str, limit: int = 20) -> list[Operation]:
    """The last operations of the application, newest first."""
    newest = select(operations).where(operations.c.app == app).order_by(operations.c.id.desc())
    return _read(connection, newest.limit(limit))


def _read(connection: Connection, query: Select[Any]) -> list[Operation]:
    found = connection.execute(query).all()
    listed = operation_steps.c.operation.in_([row.id for row in found])
    steps: defaultdict[int, list[StepRecord]] = defaultdict(list)
    for row in connection.execute(select(operation_steps).where(listed).order_by(operation_steps.c.index)):
        values = row._mapping  # `row.index` would be the tuple's method
        steps[row.operation].append(StepRecord(values["index"], row.step, row.state, row.error))
    return [_operation(row, steps[row.id]) for row in found]


def _operation(row: Row[Any], steps: Sequence[StepRecord]) -> Operation:
    values = dict(row._mapping)
    return Operation(**values | {name: tuple(values[name]) for name in ("wanted", "before")}, steps=tuple(steps))


def _forget(connection: Connection, app: str) -> None:
    mine = select(operations.c.id).where(operations.c.app == app, operations.c.state != "running")
    oldest_kept = mine.order_by(operations.c.id.desc()).offset(KEPT - 1).limit(1).scalar_subquery()
    gone = operations.delete().where(operations.c.app == app, operations.c.state != "running")
    connection.execute(gone.where(operations.c.id < oldest_kept))
