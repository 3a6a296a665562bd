"""One delivery under way. The story:

    enter      the stage's documents are applied: a release with its reason     undone by the pipeline when it fails
    watch      every few seconds the mesh's figures are judged                  touches nothing
    take       the verdict (or an order: promote, back, drop) moves the course  written down before it is acted on
    finish     the file is made true, then the temporary versions go            nobody's request is on them by then
    return     the weights go back at once, then what ran before is all there is

The record is written before each of these, so that the next daemon carries a delivery on from where a crash left it: a stage is entered
again and judged from its beginning; a way forth or back is gone to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.control import records, verdicts
from aiculturekit.control.looks import Looks
from aiculturekit.control.operations import Operation, Operations, Order
from aiculturekit.control.records import Record
from aiculturekit.control.verdicts import Course, Verdict
from aiculturekit.deploy.changes import Change, Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.engine.supervisor import Engine
from aiculturekit.errors import AicError, Failed, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.plan import deliveries
from aiculturekit.plan.deliveries import Documents
from aiculturekit.state import deliveries as stored
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release
from aiculturekit.targets.local import Local

log = logging.getLogger(__name__)
LOOK = 2.0
"""Seconds between two looks at the figures."""
TOLD = 6.0
"""Seconds between two reports while nothing but the figures changes."""
_TRIES, _PAUSE = 3, 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What a rollout works with; `tell` is told its view after each look."""

    database: Database
    target: Local
    pipeline: Pipeline
    engine: Engine
    mesh: Mesh
    operations: Operations
    tell: Callable[[Mapping[str, Any]], None]


class Dropped(Failed):
    """Something else takes the application over."""

    code = "dropped"


class Rollout:
    """`record` is where it stands. `has_begun` says that something may be in force already: what the last daemon left."""

    operation: Operation

    def __init__(self, record: Record, *, parts: Parts, has_begun: bool = False) -> None:
        self.record, self._parts, self._has_begun = record, parts, has_begun
        self._orders: asyncio.Queue[tuple[Order, str, str]] = asyncio.Queue()
        self._looks = Looks(
            record.delivery, least=record.terms.least, target=parts.target, engine=parts.engine, mesh=parts.mesh
        )
        self._is_dropped = self._is_called_back = self._was_ordered = False
        self._told = 0.0
        self._emit: Emit = lambda kind, payload: None

    @property
    def sentence(self) -> str:
        return self.record.sentence

    def view(self) -> dict[str, Any]:
        return records.view(self.record, readings=self._looks.readings())

    def order(self, what: Order, *, author: str, reason: str) -> None:
        """Taken at the next look at the latest. "drop" takes effect before anything else is changed."""
        self._is_dropped = self._is_dropped or what == "drop"
        self._is_called_back = self._is_called_back or what == "back"
        self._orders.put_nowait((what, author, reason))

    @property
    def unready(self) -> str:
        """What is not well with the new versions; "" when they all are ready."""
        return self._looks.unready()

    async def run(self, emit: Emit) -> int | None:
        """To the end. Raises Failed, with the figures, when it went back by itself."""
        self._emit = emit
        await self._note()
        try:
            return await self._through()
        except Dropped as dropped:
            steps = list(range(self.record.base + 1, max(self.record.releases, default=self.record.base) + 1))
            await self._parts.database.run(stored.pass_over, self.record.app, releases=steps)
            await self._note(state="dropped", sentence=dropped.message, ended_at=time.time())
            raise
        finally:
            if self.record.state not in records.UNDER_WAY:
                self._parts.operations.let_go(self.record.app)

    async def _through(self) -> int | None:
        try:
            await self._onward()
        except Dropped:
            raise
        except Exception as error:
            message = (
                error.message if isinstance(error, AicError) else say("internal error: {error}", error=repr(error))
            )
            log.log(logging.INFO if isinstance(error, AicError) else logging.ERROR, "delivery", exc_info=error)
            if not self._has_begun:  # the pipeline has put everything back
                await self._note(state="failed", sentence=message, ended_at=time.time())
                raise
            await self._note(state="returning", sentence=message)
        if self.record.state == "returning":
            await self._return()
        return self.record.releases[-1] if self.record.releases else None

    async def _onward(self) -> None:
        while self.record.state == "running":
            await self._enter()
            await self._take(await self._watch())
        if self.record.state == "finishing":
            await self._finish()

    async def _enter(self) -> None:
        record = self.record
        if not self._has_begun and not all(move.is_temporary for move in record.delivery.moves):
            await self._apply(lambda: _emptied(record, self._parts.target), is_release=False)
        reason = f"{records.head(self.record)}: {record.sentence}" if record.sentence else records.head(self.record)
        await self._apply(lambda: deliveries.at(record.delivery, record.course.stage.weight), reason=reason)
        self._has_begun = True
        await self._note(since=time.time(), sentence=records.entered(self.record))

    async def _watch(self) -> Verdict:
        """Look until there is a verdict: by the figures, or by order."""
        record, started = self.record, time.monotonic()
        self._looks.begin()
        before = await self._looks.sample()
        while True:
            if ordered := await self._ordered():
                return ordered
            now = await self._looks.sample()
            if now and before:
                self._looks.add(now, before)
            before = now or before
            elapsed = time.monotonic() - started
            verdict = verdicts.judge(
                record.course.stage, record.terms, elapsed=elapsed, readings=self._looks.readings()
            )
            if verdict.kind == "forward" and (trouble := self._looks.unready()):
                verdict = Verdict("back", trouble)
            self._show(verdict.reason, is_news=verdict.kind != "wait")
            if verdict.kind != "wait":
                return verdict

    async def _ordered(self) -> Verdict | None:
        """The verdict that somebody ordered, if that comes before the next look."""
        with contextlib.suppress(TimeoutError):
            what, author, reason = await asyncio.wait_for(self._orders.get(), LOOK)
            self._refuse_dropped()
            self._was_ordered = True
            if what == "back":
                return Verdict("back", reason or say("{author} said so", author=author))
            said = reason or say("promoted by {author}", author=author)
            if self.record.kind == "canary":
                last = len(self.record.course.stages) - 1
                self.record = dataclasses.replace(self.record, course=dataclasses.replace(self.record.course, at=last))
            return Verdict("forward", said)
        return None

    async def _take(self, verdict: Verdict) -> None:
        course = self.record.course.after(verdict)
        state: records.State = {"": "running", "done": "finishing", "back": "returning"}[course.end]  # type: ignore[assignment]
        await self._note(course=Course(course.stages, at=course.at), state=state, sentence=verdict.reason)

    async def _finish(self) -> None:
        record = self.record
        weight = record.course.stages[-1].weight
        wanted = deliveries.after(record.delivery, weight)
        reason = f"{records.head(self.record)}: {record.sentence}"
        await self._apply(
            lambda: deliveries.beside(wanted, record.delivery, there=self._parts.target.in_force(record.app)),
            reason=reason,
        )
        await self._looks.drained()
        await self._apply(
            lambda: wanted, reason=say("{what} ended well: the temporary version goes", what=records.name(self.record))
        )
        if self._is_called_back:  # asked for while it was finishing
            self._was_ordered = True
            await self._note(state="returning", sentence=say("asked for while it was finishing"))
            return
        sentence = say("done: {reason}", reason=record.sentence)
        await self._end("done", sentence, first=record.base + 1)

    async def _return(self) -> None:
        reason = self.record.sentence
        for left in reversed(range(_TRIES)):
            try:
                await self._put_back(reason)
                break
            except Dropped:
                raise
            except AicError as error:
                if not left:
                    sentence = say("could not go back: {error}", error=error.message)
                    await self._note(state="failed", sentence=sentence, ended_at=time.time())
                    raise
                await asyncio.sleep(_PAUSE)
        sentence = say("went back: {reason}", reason=reason)
        await self._end("back", sentence, first=self.record.base)
        if not self._was_ordered:
            raise Failed(sentence, hint=say("`aic logs` shows what it printed; what ran before has all requests again"))

    async def _put_back(self, reason: str) -> None:
        record = self.record
        base = await self._parts.database.run(releases.get, record.app, record.base)
        if base is None:
            raise NotFound(say("{app} has no release {number}", app=record.app, number=record.base))
        await self._apply(lambda: _emptied(record, self._parts.target), is_release=False)
        await self._looks.drained()
        why = say("{what} went back: {reason}", what=records.name(self.record), reason=reason)
        await self._apply(lambda: record.delivery.before, reason=why, base=base)

    async def _apply(
        self,
        documents: Callable[[], Documents],
        *,
        reason: str = "",
        is_release: bool = True,
        base: Release | None = None,
    ) -> None:
        """At the application's turn, make true what `documents` says then; with `base` as what that release was made from."""
        made_from = base or self.record
        async with self._parts.operations.turn(self.record.app):
            self._refuse_dropped()
            change = Change(
                app=self.record.app,
                verb=self.record.kind,
                documents=documents(),
                author=self.record.author,
                reason=reason,
                environment=made_from.environment,
                file=made_from.file,
                text=made_from.text,
                sources=made_from.sources,
                revision=made_from.revision,
                committed_at=made_from.committed_at,
                is_release=is_release,
            )
            outcome = await self._parts.pipeline.apply(change, emit=self._emit)
        if is_release and outcome.steps and outcome.release is not None:
            await self._note(releases=(*self.record.releases, outcome.release))

    def _refuse_dropped(self) -> None:
        if self._is_dropped:
            raise Dropped(say("ended: something else took {app} over", app=self.record.app))

    async def _end(self, state: records.State, sentence: str, *, first: int) -> None:
        """The releases from `first` on, but for the last, are no place to go back to."""
        last = max(self.record.releases, default=first)
        await self._parts.database.run(stored.pass_over, self.record.app, releases=list(range(first, last)))
        await self._note(state=state, sentence=sentence, ended_at=time.time())

    async def _note(self, **changes: Any) -> None:
        """Write down, then show."""
        self.record = dataclasses.replace(self.record, **changes)
        await self._parts.database.run(stored.put, self.record.app, record=self.record.as_dict())
        self._show(self.record.sentence, is_news=True)

    def _show(self, sentence: str, *, is_news: bool) -> None:
        if self.record.state == "running":
            self.record = dataclasses.replace(self.record, sentence=sentence)
        self._parts.tell(self.view())
        if is_news or time.monotonic() - self._told >= TOLD:
            self._told = time.monotonic()
            self._emit("delivery", self.view())


def _emptied(record: Record, target: Local) -> Documents:
    return deliveries.emptied(record.delivery, there=target.in_force(record.app))


def refuse_unready(rollout: Rollout) -> None:
    """Raises Refused when the new versions could not serve if they were promoted now."""
    if trouble := rollout.unready:
        raise Refused(trouble, hint=say("`aic deploy --abort {app}` goes back", app=rollout.record.app))
