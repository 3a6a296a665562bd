"""Progressive delivery: a canary whose share of the requests grows step by step, or blue/green: all at once after a look."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import records, rollouts
from aiculturekit.control.applications import Applications, pinned
from aiculturekit.control.operations import Operation, Order
from aiculturekit.control.records import Record
from aiculturekit.control.rollouts import Parts, Rollout
from aiculturekit.control.verdicts import Course, Stage, Terms
from aiculturekit.deploy.changes import Change
from aiculturekit.errors import Busy, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.plan import deliveries, holds, objectives
from aiculturekit.spec import units
from aiculturekit.state import deliveries as stored
from aiculturekit.state import releases
from aiculturekit.state.releases import Release

PATIENCE = 10
"""A stage waits so many times its own length for enough requests, if nothing else is said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for, as text: `canary` is the steps in percent, or None for blue/green."""

    canary: str | None
    every: str = "30s"
    slo: str = ""
    min_requests: int | None = None
    patience: str | None = None
    version: str | None = None
    promote_after: str | None = None
    keep: str = "10m"


class Deliveries:
    """The verbs. Each delivery is an operation, and goes on whether or not anybody follows it."""

    def __init__(self, *, home: Path, applications: Applications, parts: Parts) -> None:
        self._home, self._applications, self._parts = home, applications, parts
        self._rollouts: dict[str, Rollout] = {}

    async def begin(self) -> None:
        """Carry on what the last daemon left: at its stage, judged from that stage's beginning."""
        for record in await self._parts.database.run(stored.all_of):
            if record["state"] in records.UNDER_WAY:
                self._run(records.from_dict(record), has_begun=True)

    async def start(self, file: Path, *, environment: str | None, wish: Wish, author: str, reason: str) -> Operation:
        """Begin. Where nothing that runs changes its code, the file is simply made true. Raises what is wrong with the file or the wish
        before anything is touched."""
        stages, terms = _stages(wish), _terms(wish)
        application = await self._applications.load(file, environment=environment)
        self._refuse_busy(application.app)
        change = await self._applications.change(application, verb="deploy", reason=reason, author=author)
        there = await self._parts.target.observe(application.app)
        base = await self._parts.database.run(releases.current, application.app)
        name = deliveries.PREVIEW if wish.canary is None else deliveries.CANARY
        wanted = holds.carry(change.documents, observed=there)
        moves = deliveries.moves(there, wanted, version=wish.version, name=name)
        if not moves or base is None:
            return await self._applications.up(file, environment=environment, reason=reason, author=author)
        await self._applications.snapshot(change.sources)
        before = await threads.run(pinned, there, release=base, home=self._home)
        delivery = deliveries.Delivery(application.app, before, wanted, moves, has_preview=wish.canary is None)
        return self._run(_record(delivery, stages, terms, wish, change=change, base=base))

    def _refuse_busy(self, app: str) -> None:
        self._parts.operations.refuse_held(app)
        if running := self._parts.operations.running(app):
            raise Busy(
                say("{app}: `{verb}` is under way", app=app, verb=running.verb), hint=say("try again when it has ended")
            )

    def promote(self, app: str, *, author: str, reason: str) -> Operation:
        """Go on without waiting: a canary to its end, blue/green to the new version. Raises NotFound, or Refused when it is not ready."""
        rollout = self._held(app)
        rollouts.refuse_unready(rollout)
        return self._order(rollout, "promote", author=author, reason=reason)

    def abort(self, app: str, *, author: str, reason: str) -> Operation:
        """Go back to what ran before."""
        return self._order(self._held(app), "back", author=author, reason=reason)

    async def state(self, app: str) -> dict[str, Any]:
        """The delivery under way, or the last one. Raises NotFound."""
        if rollout := self._rollouts.get(app):
            return rollout.view()
        record = await self._parts.database.run(stored.get, app)
        if record is None:
            raise self._none(app)
        return records.view(records.from_dict(record))

    async def shown(self, app: str) -> dict[str, Any] | None:
        """What a page shows: the delivery under way or the last one, None where there never was one."""
        try:
            return await self.state(app)
        except NotFound:
            return None

    def _run(self, record: Record, *, has_begun: bool = False) -> Operation:
        rollout = Rollout(record, parts=self._parts, has_begun=has_begun)
        self._parts.operations.hold(record.app, rollout)
        rollout.operation = self._parts.operations.start(
            record.app, verb="deploy", author=record.author, work=rollout.run, is_long=True
        )
        rollout.record = dataclasses.replace(record, operation=rollout.operation.id)
        self._rollouts[record.app] = rollout
        return rollout.operation

    def _held(self, app: str) -> Rollout:
        rollout = self._rollouts.get(app)
        if rollout is None or rollout.record.state not in records.UNDER_WAY:
            raise self._none(app)
        return rollout

    def _order(self, rollout: Rollout, what: Order, *, author: str, reason: str) -> Operation:
        rollout.order(what, author=author, reason=reason)
        return rollout.operation

    def _none(self, app: str) -> NotFound:
        return NotFound(
            say("no delivery of {app} is under way", app=app),
            hint=say("`aic deploy DIRECTORY --canary 5,25,50,100` starts one"),
        )


def telling(tell: Callable[[str, Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
    """A rollout's views as news: figures with each look, and a change of the pages when a stage or the end is reached."""
    last: dict[str, tuple[str, float]] = {}

    def told(view: Mapping[str, Any]) -> None:
        tell("delivery", view)
        now = (view["state"], view["weight"])
        if last.get(view["app"]) != now:
            last[view["app"]] = now
            tell("changed", {"app": view["app"]})

    return told


def _record(
    delivery: deliveries.Delivery, stages: tuple[Stage, ...], terms: Terms, wish: Wish, *, change: Change, base: Release
) -> Record:
    now = time.time()
    return Record(
        kind="blue-green" if wish.canary is None else "canary",
        delivery=delivery,
        course=Course(stages),
        slo=" ".join(map(str, terms.objectives)),
        terms=terms,
        author=change.author,
        reason=change.reason,
        sentence=change.reason,
        environment=change.environment,
        file=change.file,
        text=change.text,
        sources=dict(change.sources),
        base=base.number,
        started_at=now,
        since=now,
        revision=change.revision,
        committed_at=change.committed_at,
    )


def _terms(wish: Wish) -> Terms:
    usual = objectives.USUAL if wish.canary is not None else ""
    found = objectives.parse(wish.slo or usual)
    least = objectives.least(found) if wish.min_requests is None else wish.min_requests
    length = _seconds(wish.every if wish.canary is not None else wish.promote_after or "30s")
    return Terms(found, least=least, patience=_seconds(wish.patience) if wish.patience else PATIENCE * length)


def _stages(wish: Wish) -> tuple[Stage, ...]:
    if wish.canary is not None:
        every = _seconds(wish.every)
        return tuple(Stage(weight, every) for weight in _steps(wish.canary))
    is_judged = bool(wish.slo)
    after = _seconds(wish.promote_after) if wish.promote_after else None
    return (
        Stage(0.0, after, judged=is_judged, needed=is_judged),
        Stage(100.0, _seconds(wish.keep), judged=is_judged, needed=False),
    )


def _steps(text: str) -> list[float]:
    """`5,25,50,100` -> percentages that grow. Raises Mistake."""
    try:
        steps = [units.percent(word) for word in text.replace(" ", ",").split(",") if word]
    except ValueError as error:
        raise Mistake(str(error), hint=_step_hint()) from None
    if not steps or steps[0] <= 0 or any(a >= b for a, b in itertools.pairwise(steps)):
        raise Mistake(
            say("{steps}: the steps of a canary grow, from more than 0% to 100% at most", steps=text or "–"),
            hint=_step_hint(),
        )
    return steps


def _step_hint() -> str:
    return say("write for example --canary 5,25,50,100")


def _seconds(text: str) -> float:
    try:
        return units.duration(text)
    except ValueError as error:
        raise Mistake(str(error)) from None
