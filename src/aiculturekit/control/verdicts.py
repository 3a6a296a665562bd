"""How a new version takes over: a course of stages, and after each look a verdict: wait, forward or back, with the reason in figures. Pure.

A stage ends well only when its time is over, enough requests were answered, and every objective holds over all of it. It ends badly as
soon as an objective is broken beyond doubt: so many errors (or slow answers) that even if everything up to the number of requests that a
judgement needs went well from now on, the bound would be broken. So a bad version goes long before its stage would have ended, and one
unlucky request decides nothing. What cannot be judged within `patience` goes back: no traffic is not a good sign.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

from aiculturekit.language import say
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan.objectives import SHARES, Objective

Kind = Literal["wait", "forward", "back"]
NOTHING = Tally()


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """`weight` percent of the requests for `lasts` seconds; None: until somebody says so. `judged` says whether the objectives count
    here, `needed` whether the stage must have seen enough requests to end well."""

    weight: float
    lasts: float | None
    judged: bool = True
    needed: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """`least` requests make a judgement; a stage that never sees so many goes back after `patience` seconds."""

    objectives: tuple[Objective, ...]
    least: int
    patience: float


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What the new version of a service answered: in this stage, in the last seconds; and what the stable one did in this stage (or in
    the last stage in which it answered enough)."""

    service: str
    stage: Tally = NOTHING
    recent: Tally = NOTHING
    stable: Tally = NOTHING


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    kind: Kind
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """Where a delivery stands among its stages. `end` is what it came to."""

    stages: tuple[Stage, ...]
    at: int = 0
    end: Literal["", "done", "back"] = ""

    @property
    def stage(self) -> Stage:
        return self.stages[min(self.at, len(self.stages) - 1)]

    def after(self, verdict: Verdict) -> Course:
        """One stage on, back, or as it is. What has ended stays so."""
        if self.end or verdict.kind == "wait":
            return self
        if verdict.kind == "back":
            return dataclasses.replace(self, end="back")
        if self.at + 1 < len(self.stages):
            return dataclasses.replace(self, at=self.at + 1)
        return dataclasses.replace(self, end="done")


def judge(stage: Stage, terms: Terms, *, elapsed: float, readings: Sequence[Reading]) -> Verdict:
    """The verdict `elapsed` seconds into the stage."""
    if stage.judged and (broken := _first(_broken(reading, terms) for reading in readings)):
        return Verdict("back", broken)
    if stage.lasts is None:
        return Verdict("wait", say("waiting for the word: `aic promote`"))
    if elapsed < stage.lasts:
        left = say("{seconds:.0f} s to go", seconds=stage.lasts - elapsed)
        return Verdict("wait", f"{left}; {figures(readings)}" if readings else left)
    if stage.judged and stage.needed and (missing := _first(_missing(reading, terms) for reading in readings)):
        return _unjudged(missing, stage, terms, elapsed)
    if stage.judged and (failed := _first(_failed(reading, terms, stage) for reading in readings)):
        return Verdict("back", failed)
    return Verdict("forward", figures(readings) if readings else say("its time is over"))


def figures(readings: Sequence[Reading]) -> str:
    """What the new versions answered in this stage, in one line."""
    return "; ".join(_shown(reading.service, reading.stage) for reading in readings)


def _shown(service: str, tally: Tally) -> str:
    if not tally.requests:
        return say("{service}: no request yet", service=service)
    p95 = tally.percentile(0.95)
    return say(
        "{service}: {share:.1f}% errors, p95 {p95} of {count} requests over {seconds:.0f} s",
        service=service,
        share=tally.error_share,
        p95="–" if p95 is None else f"{p95:.0f} ms",
        count=tally.requests,
        seconds=tally.seconds,
    )


def _unjudged(missing: str, stage: Stage, terms: Terms, elapsed: float) -> Verdict:
    limit = max(terms.patience, stage.lasts or 0.0)
    if elapsed >= limit:
        return Verdict(
            "back", say("not enough requests to judge: {missing} in {seconds:.0f} s", missing=missing, seconds=elapsed)
        )
    return Verdict(
        "wait",
        say(
            "not enough requests to judge yet: {missing}; goes back by itself in {seconds:.0f} s",
            missing=missing,
            seconds=limit - elapsed,
        ),
    )


def _first(found: Iterable[str]) -> str:
    return next((text for text in found if text), "")


def _broken(reading: Reading, terms: Terms) -> str:
    """The objective that is broken beyond doubt, in the last seconds or in all of the stage; "" for none."""
    for objective in terms.objectives:
        for tally in (reading.recent, reading.stage):
            bound = _bound(objective, reading.stable, terms.least)
            if bound is not None and _exceeds(objective, tally, bound, among=terms.least):
                return _told(reading.service, objective, tally, bound)
    return ""


def _failed(reading: Reading, terms: Terms, stage: Stage) -> str:
    """The objective that does not hold over all of the stage, now that it is over."""
    for objective in terms.objectives:
        bound = _bound(objective, reading.stable, terms.least)
        if objective.measure == "rate":
            if stage.needed and reading.stage.rate <= objective.amount:
                return _told(reading.service, objective, reading.stage, objective.amount)
        elif bound is not None and _exceeds(objective, reading.stage, bound, among=1 if stage.needed else terms.least):
            return _told(reading.service, objective, reading.stage, bound)
    return ""


def _missing(reading: Reading, terms: Terms) -> str:
    """What a judgement of this reading lacks; "" when there is enough."""
    tally = reading.stage
    is_timed = any(objective.measure in SHARES for objective in terms.objectives)
    count = min(tally.requests, tally.timed) if is_timed else tally.requests
    if count < terms.least:
        return say("{service} {count} of {least}", service=reading.service, count=count, least=terms.least)
    if any(
        objective.beside and _bound(objective, reading.stable, terms.least) is None for objective in terms.objectives
    ):
        return say(
            "{service}'s stable version {count} of {least}",
            service=reading.service,
            count=reading.stable.requests,
            least=terms.least,
        )
    return ""


def _bound(objective: Objective, stable: Tally, least: int) -> float | None:
    if not objective.beside:
        return objective.amount
    if stable.requests < least:
        return None
    if objective.measure == "errors":
        return objective.bound(stable.error_share)
    return objective.bound(stable.percentile(SHARES[objective.measure]))


def _exceeds(objective: Objective, tally: Tally, bound: float, *, among: int) -> bool:
    """Whether the bound is broken even if the requests that are missing to `among` would all do well. A bound of 0 (beside a stable
    version without errors, times something) allows none."""
    if objective.measure == "errors":
        return tally.errors > 0 and 100.0 * tally.errors / max(tally.requests, among) >= bound
    if objective.measure == "rate":
        return False
    return tally.slower(bound) > (1 - SHARES[objective.measure]) * max(tally.timed, among)


def _told(service: str, objective: Objective, tally: Tally, bound: float) -> str:
    values = {"service": service, "count": tally.requests, "seconds": tally.seconds, "objective": objective}
    if objective.measure == "errors":
        share = tally.error_share
        text = say(
            "{service} answered {share:.1f}% errors of {count} requests over {seconds:.0f} s, allowed is {objective}",
            share=share,
            **values,
        )
    elif objective.measure == "rate":
        text = say(
            "{service} had {rate:.1f} requests a second over {seconds:.0f} s, wanted is {objective}",
            rate=tally.rate,
            **values,
        )
    else:
        value = tally.percentile(SHARES[objective.measure]) or 0.0
        # of few answers the percentile itself may still be below: what decides is how many were slower
        text = say(
            "{service} has a {measure} of {value:.0f} ms ({slow:.0f} of {count} requests over {seconds:.0f} s took longer), allowed is "
            "{objective}",
            measure=objective.measure,
            value=value,
            slow=tally.slower(bound),
            **values,
        )
    if not objective.beside:
        return text
    shown = f"{bound:.1f}%" if objective.measure == "errors" else f"{bound:.0f} ms"
    return f"{text} ({say('now {bound}', bound=shown)})"
