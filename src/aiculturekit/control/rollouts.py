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
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.control import records, verdicts
from aiculturekit.control.operations import Operation, Operations, Order
from aiculturekit.control.records import Record
from aiculturekit.control.verdicts import Course, Reading, Verdict
from aiculturekit.deploy.changes import Change, Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key
from aiculturekit.errors import AicError, Failed, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.mesh import windows
from aiculturekit.mesh.figures import Sample
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan import deliveries
from aiculturekit.plan.deliveries import Documents, Move
from aiculturekit.plan.documents import Document
from aiculturekit.state import deliveries as stored
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release
from aiculturekit.targets.local import Local

log = logging.getLogger(__name__)
LOOK = 2.0
"""Seconds between two looks at the figures."""
RECENT = 10.0
"""Seconds of the last figures that are judged by themselves: a long stage must not thin out what fails now."""
DRAIN, DRAIN_LOOK = 1.0, 0.25
"""Seconds at least for what is in flight on a version that gets no requests any more; it may take as long as its `grace`."""
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


class Meter:
    """The figures of one service's new version, stage by stage."""

    def __init__(self, app: str, move: Move) -> None:
        self._app, self._move = app, move
        self._baseline = Tally()
        self.begin()

    def begin(self) -> None:
        """A new stage. The stable version's figures are kept for a stage in which it answers too little to compare with."""
        self._stage, self._stable = Tally(), Tally()
        self._recent: deque[Tally] = deque()

    def add(self, now: Sample, before: Sample, *, others: list[str], least: int) -> None:
        def of(version: str) -> Tally:
            return windows.gained(now, before, app=self._app, target=self._move.service, version=version)

        new = of(self._move.version)
        self._stage += new
        self._recent.append(new)
        while sum(tally.seconds for tally in self._recent) - self._recent[0].seconds >= RECENT:
            self._recent.popleft()
        for version in others:
            self._stable += dataclasses.replace(of(version), seconds=0.0)
        self._stable += Tally(now.at - before.at)
        if self._stable.requests >= least:
            self._baseline = self._stable

    def reading(self, *, least: int) -> Reading:
        name = f"{self._move.service} {self._move.version}"
        stable = self._stable if self._stable.requests >= least or not self._baseline.requests else self._baseline
        return Reading(name, self._stage, sum(self._recent, Tally()), stable)


class Rollout:
    """`record` is where it stands. `has_begun` says that something may be in force already: what the last daemon left."""

    operation: Operation

    def __init__(self, record: Record, *, parts: Parts, has_begun: bool = False) -> None:
        self.record, self._parts, self._has_begun = record, parts, has_begun
        self._orders: asyncio.Queue[tuple[Order, str, str]] = asyncio.Queue()
        self._meters = [Meter(record.app, move) for move in record.delivery.moves]
        self._is_dropped = self._is_called_back = self._was_ordered = False
        self._told = 0.0
        self._emit: Emit = lambda kind, payload: None

    @property
    def sentence(self) -> str:
        return self.record.sentence

    def view(self) -> dict[str, Any]:
        return records.view(self.record, readings=self._readings())

    def order(self, what: Order, *, author: str, reason: str) -> None:
        """Taken at the next look at the latest. "drop" takes effect before anything else is changed."""
        self._is_dropped = self._is_dropped or what == "drop"
        self._is_called_back = self._is_called_back or what == "back"
        self._orders.put_nowait((what, author, reason))

    def unready(self) -> str:
        """What is not well with the new versions; "" when they all are ready."""
        for move in self.record.delivery.moves:
            status = self._parts.engine.status(Key(self.record.app, move.service, move.version))
            if status is None or not status.ready:
                reasons = [one.reason for one in status.instances if one.reason] if status else []
                return say("{name} is not ready: {reason}", name=move.workload, reason=next(iter(reasons), "–"))
        return ""

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
            await self._apply(self._emptied, is_release=False)
        reason = f"{self._head()}: {record.sentence}" if record.sentence else self._head()
        await self._apply(lambda: deliveries.at(record.delivery, record.course.stage.weight), reason=reason)
        self._has_begun = True
        await self._note(since=time.time(), sentence=self._entered())

    async def _watch(self) -> Verdict:
        """Look until there is a verdict: by the figures, or by order."""
        record, started = self.record, time.monotonic()
        for meter in self._meters:
            meter.begin()
        before = await self._sample()
        while True:
            if ordered := await self._ordered():
                return ordered
            now = await self._sample()
            if now and before:
                self._add(now, before)
            before = now or before
            elapsed = time.monotonic() - started
            verdict = verdicts.judge(record.course.stage, record.terms, elapsed=elapsed, readings=self._readings())
            if verdict.kind == "forward" and (trouble := self.unready()):
                verdict = Verdict("back", trouble)
            self._show(verdict.reason, is_news=verdict.kind != "wait")
            if verdict.kind != "wait":
                return verdict

    def _add(self, now: Sample, before: Sample) -> None:
        workloads = [
            d.name.partition("/") for d in self._parts.target.in_force(self.record.app) if d.kind == "workload"
        ]
        for meter, move in zip(self._meters, self.record.delivery.moves, strict=True):
            others = [version for name, _, version in workloads if name == move.service and version != move.version]
            meter.add(now, before, others=others, least=self.record.terms.least)

    def _readings(self) -> tuple[Reading, ...]:
        return tuple(meter.reading(least=self.record.terms.least) for meter in self._meters)

    async def _sample(self) -> Sample | None:
        try:
            return await self._parts.mesh.sample()
        except (
            AicError,
            OSError,
        ):  # a proxy that is being restarted: time goes on, and what cannot be judged goes back
            return None

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
        reason = f"{self._head()}: {record.sentence}"
        await self._apply(lambda: deliveries.beside(wanted, record.delivery, there=self._there()), reason=reason)
        await self._drain()
        await self._apply(
            lambda: wanted, reason=say("{what} ended well: the temporary version goes", what=self._name())
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
        await self._apply(self._emptied, is_release=False)
        await self._drain()
        why = say("{what} went back: {reason}", what=self._name(), reason=reason)
        await self._apply(lambda: record.delivery.before, reason=why, base=base)

    def _there(self) -> list[Document]:
        return self._parts.target.in_force(self.record.app)

    def _emptied(self) -> Documents:
        return deliveries.emptied(self.record.delivery, there=self._there())

    async def _drain(self) -> None:
        """Wait until nothing is in flight on the temporary versions, or their grace is over."""
        await asyncio.sleep(DRAIN)
        moves = [move for move in self.record.delivery.moves if move.is_temporary]
        bodies = {document.name: document.body for document in self._parts.target.in_force(self.record.app)}
        deadline = time.monotonic() + max(
            (bodies[m.workload]["grace"] for m in moves if m.workload in bodies), default=0.0
        )
        while time.monotonic() < deadline:
            try:
                flying = [
                    await self._parts.mesh.in_flight(self.record.app, m.service, version=m.version) for m in moves
                ]
            except (AicError, OSError):  # the proxy is being restarted, and with it went what was in flight
                return
            if not any(flying):
                return
            await asyncio.sleep(DRAIN_LOOK)

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

    def _entered(self) -> str:
        stage = self.record.course.stage
        rule = self.record.slo if stage.judged else say("no objective")
        if stage.lasts is None:
            return say("the new version is up; `aic promote` gives it the requests ({rule})", rule=rule)
        return say(
            "{weight:g}% of the requests for {seconds:g} s ({rule})",
            weight=stage.weight,
            seconds=stage.lasts,
            rule=rule,
        )

    def _name(self) -> str:
        what = say("canary") if self.record.kind == "canary" else say("blue/green")
        services = ", ".join(move.service for move in self.record.delivery.moves)
        return say("{what} of {services}", what=what, services=services)

    def _head(self) -> str:
        return say("{what}, {weight:g}%", what=self._name(), weight=self.record.course.stage.weight)


def refuse_unready(rollout: Rollout) -> None:
    """Raises Refused when the new versions could not serve if they were promoted now."""
    if trouble := rollout.unready():
        raise Refused(trouble, hint=say("`aic deploy --abort {app}` goes back", app=rollout.record.app))
