"""How a wish becomes a fact. The story, stage by stage, and what each may not do:

    observe   the target says which documents are in force        touches nothing
    diff      plan.steps: wanted against observed                 pure; Protected is raised here
    journal   operation, steps and release, in one transaction    nothing is touched before this is on disk
    perform   wave by wave; within a wave all at once             a step is completed in the journal with its document
    record    the release becomes the current one                 one transaction
    undo      on failure: back to what was observed before        the same pipeline, the other way round

A crash leaves a running operation in the journal; `resume` carries it on (or undoes it) when the next daemon starts. Since
the remaining steps are found by observing again, no step has to be reversible by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiculturekit.deploy.changes import Change, Emit, Outcome
from aiculturekit.deploy.targets import Foreseeing, Target
from aiculturekit.errors import AicError, Failed
from aiculturekit.language import say
from aiculturekit.plan import holds, steps
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.state import documents, operations, releases, requests
from aiculturekit.state.databases import Database

log = logging.getLogger(__name__)


class Pipeline:
    """One pipeline for each target. The caller makes sure that one application has one change at a time."""

    def __init__(self, *, database: Database, target: Target) -> None:
        self._database = database
        self._target = target

    async def plan(self, change: Change) -> tuple[Step, ...]:
        """The steps that `apply` would perform now. Touches nothing."""
        observed = await self._target.observe(change.app)
        return steps.diff(_wanted(change, observed), observed)

    async def apply(self, change: Change, *, emit: Emit) -> Outcome:
        """Make the change true. Raises what the plan refuses, or the step's own Failed after everything was undone."""
        observed = await self._target.observe(change.app)
        wanted = _wanted(change, observed)
        planned = steps.diff(wanted, observed)
        if not planned:
            return Outcome(None, await self._database.run(_current_number, change.app), ())
        operation, release = await self._database.run(_begin, change, wanted=wanted, before=observed, planned=planned)
        run = _Run(self._database, self._target, change.app, operation, release, emit)
        await run.through(planned, before=observed)
        return Outcome(operation, release, planned)

    async def resume(self, operation: operations.Operation, *, emit: Emit) -> None:
        """Carry on an operation that a crash interrupted. Raises as `apply` does."""
        wanted = [Document.from_dict(record) for record in operation.wanted]
        before = [Document.from_dict(record) for record in operation.before]
        run = _Run(self._database, self._target, operation.app, operation.id, operation.release, emit)
        remaining = steps.diff(wanted, await self._target.observe(operation.app))
        await run.through(remaining, before=before, first=len(operation.steps))

    async def restore(self, app: str, documents: Sequence[Document], *, emit: Emit) -> bool:
        """Bring back what is recorded as in force but no longer there (after a reboot). True when anything had to be done."""
        observed = await self._target.observe(app)
        if {document.key for document in documents} <= {document.key for document in observed}:
            return False
        change = Change(app=app, verb="restore", documents=tuple(documents), is_release=False)
        await self.apply(change, emit=emit)
        return True


class _Run:
    """One journalled operation under way."""

    def __init__(
        self, database: Database, target: Target, app: str, operation: int, release: int | None, emit: Emit
    ) -> None:
        self._database, self._target, self._emit = database, target, emit
        self._app, self._operation, self._release = app, operation, release
        self._said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    async def through(self, planned: Sequence[Step], *, before: Sequence[Document], first: int = 0) -> None:
        """Perform the steps and record the end; on failure undo to `before` and raise the failure. `first` is the journal
        index of the first step (steps found when resuming are not in the journal: they are numbered behind it)."""
        self._emit("operation", {"id": self._operation, "app": self._app, "release": self._release})
        index = {step.document.key: first + at for at, step in enumerate(planned)}
        if isinstance(self._target, Foreseeing):
            self._target.foresee(self._app, planned, progress=self._tell_progress)
        try:
            for wave in steps.waves(planned):
                await self._wave(wave, index)
        except AicError as error:
            await self._undo(before)
            await self._finish("failed", error=error.as_dict())
            raise
        await self._finish("done", error=None)

    async def _wave(self, wave: Sequence[Step], index: dict[tuple[str, str], int]) -> None:
        started = {index[step.document.key]: step.as_dict() for step in wave}
        await self._database.run(operations.start, self._operation, steps=started)
        results = await asyncio.gather(
            *(self._perform(step, at=index[step.document.key]) for step in wave), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise _first(failures)

    async def _perform(self, step: Step, *, at: int) -> None:
        self._tell(step, at=at, state="started")
        try:
            await self._target.perform(
                self._app,
                step=step,
                release=self._release or 0,
                progress=lambda name, message: self._hear(step, name, message),
            )
        except AicError as error:
            await self._record_output(step, [*getattr(error, "tail", ()), error.message])
            await self._database.run(operations.mark, self._operation, index=at, state="failed", error=error.message)
            self._tell(step, at=at, state="failed")
            raise
        await self._record_output(step)
        await self._complete(step, at=at)
        self._tell(step, at=at, state="done")

    def _hear(self, step: Step, name: str, message: str) -> None:
        if name == step.document.name:  # of its own, not of what had to be installed first
            self._said[step.document.key].append(message)
        self._tell_progress(name, message)

    def _tell_progress(self, name: str, message: str) -> None:
        self._emit("progress", {"workload": name, "message": message})

    async def _record_output(self, step: Step, more: Sequence[str] = ()) -> None:
        """What a migration printed stays with the release."""
        if said := [*self._said.pop(step.document.key, ()), *more]:
            kind, name = step.document.key
            if kind == "migration" and self._release is not None:
                await self._database.run(releases.tell, self._app, self._release, kind=kind, name=name, output=said)

    async def _complete(self, step: Step, *, at: int) -> None:
        gone = step.action == "delete"
        await self._database.run(
            operations.complete,
            self._operation,
            index=at,
            app=self._app,
            document=None if gone else step.document.as_dict(),
            remove=step.document.key if gone else None,
        )

    async def _undo(self, before: Sequence[Document]) -> None:
        """Back to `before`. What cannot be undone is said and left to the next run, which observes again."""
        try:
            back = steps.diff(before, await self._target.observe(self._app))
            for wave in steps.waves(back):
                for step in wave:
                    await self._target.perform(
                        self._app, step=step, release=self._release or 0, progress=lambda name, message: None
                    )
                    await self._database.run(_record, self._app, step)
                    self._tell(step, at=-1, state="undone")
        except AicError as error:
            self._emit(
                "progress", {"workload": "", "message": say("could not undo everything: {error}", error=error.message)}
            )
            log.exception("undo of operation %s", self._operation)

    async def _finish(self, state: operations.State, *, error: dict[str, Any] | None) -> None:
        await self._database.run(_end, self._app, self._operation, self._release, state, error)

    def _tell(self, step: Step, *, at: int, state: str) -> None:
        self._emit("step", {"index": at, **step.as_dict(), "state": state})


def _wanted(change: Change, observed: Sequence[Document]) -> tuple[Document, ...]:
    return holds.carry(change.documents, observed=observed) if change.keeps_holds else change.documents


def _first(failures: Sequence[BaseException]) -> BaseException:
    """The failure to report: a user's error first; a bug of ours becomes a Failed that says so and is logged in full."""
    for failure in failures:
        if isinstance(failure, AicError):
            return failure
    for failure in failures:
        if not isinstance(failure, Exception):
            return failure
    log.error("a step ended in a bug", exc_info=failures[0])
    return Failed(
        say("internal error: {error}", error=repr(failures[0])),
        hint=say("the daemon's log has the details: `aic doctor` names it"),
    )


def _current_number(connection: Any, app: str) -> int | None:
    current = releases.current(connection, app)
    return current.number if current else None


def _begin(
    connection: Any, change: Change, *, wanted: Sequence[Document], before: Sequence[Document], planned: Sequence[Step]
) -> tuple[int, int | None]:
    now = time.time()
    records = [document.as_dict() for document in wanted]
    listed = [step.as_dict() for step in planned]
    release = None
    if change.is_release:
        release = releases.begin(
            connection,
            change.app,
            environment=change.environment,
            author=change.author,
            reason=change.reason,
            file=change.file,
            text=change.text,
            documents=records,
            steps=listed,
            sources=dict(change.sources),
            now=now,
            verb=change.verb,
            began_at=change.began_at,
            revision=change.revision,
            committed_at=change.committed_at,
        )
    operation = operations.begin(
        connection,
        app=change.app,
        verb=change.verb,
        author=change.author,
        release=release,
        wanted=records,
        before=[document.as_dict() for document in before],
        steps=listed,
        now=now,
    )
    if change.request:
        requests.begun(connection, change.request, operation=operation)
    return operation, release


def _end(
    connection: Any,
    app: str,
    operation: int,
    release: int | None,
    state: operations.State,
    error: dict[str, Any] | None,
) -> None:
    now = time.time()
    operations.finish(connection, operation, state=state, error=error, now=now)
    if release is not None:
        releases.finish(connection, app, release, state="current" if state == "done" else "failed", now=now)


def _record(connection: Any, app: str, step: Step) -> None:
    if step.action == "delete":
        documents.remove(connection, app, kind=step.document.kind, name=step.document.name)
    else:
        documents.put(connection, app, document=step.document.as_dict())
