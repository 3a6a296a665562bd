"""The figures of a delivery record. Pure.

They follow DORA's metrics (https://dora.dev/guides/dora-metrics/), as far as a platform can know them; docs/delivery.md says each in a
sentence. A figure that nothing is known about has no value, and says why.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aiculturekit.language import say
from aiculturekit.state.deploys import Deploy

Json = dict[str, Any]
Unit = Literal["ratio", "seconds", "a day"]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """A change that had requests, was taken back, and when nothing of it was left."""

    change: Deploy
    restored_at: float


def figures(deploys: Sequence[Deploy], *, seconds: float) -> dict[str, Json]:
    """Name -> {title, value, unit, of, why}; `of` is how many it was made of. `seconds` is how long a time the record is of."""
    tried = [one for one in deploys if one.outcome != "unchanged"]
    done = [one for one in tried if one.outcome == "done"]
    timed = [one.finished_at - one.started_at for one in done if not is_progressive(one)]
    waited = _lead_times(tried)
    reached = [one for one in tried if one.verb != "rollback" and one.outcome in ("done", "back")]
    failures = _failures(tried)
    none = say("nothing was deployed in this time")
    return {
        "frequency": _figure(
            say("deploys a day"), len(done) * 86400 / seconds if done else None, "a day", len(done), none
        ),
        "success_rate": _figure(say("deploys that succeed"), _share(len(done), len(tried)), "ratio", len(tried), none),
        "deploy_time_mean": _figure(say("deploy time, mean"), _mean(timed), "seconds", len(timed), none),
        "deploy_time_p95": _figure(say("deploy time, p95"), percentile(timed, 0.95), "seconds", len(timed), none),
        "lead_time_mean": _figure(say("lead time, mean"), _mean(waited), "seconds", len(waited), _no_commit(reached)),
        "lead_time_p95": _figure(
            say("lead time, p95"), percentile(waited, 0.95), "seconds", len(waited), _no_commit(reached)
        ),
        "change_failure_rate": _figure(
            say("changes that fail"), _share(len(failures), len(reached)), "ratio", len(reached), none
        ),
        "restore_time_mean": _figure(
            say("time to restore, mean"),
            _mean([one.restored_at - _reached_at(one.change) for one in failures]),
            "seconds",
            len(failures),
            say("no change had to be taken back") if reached else none,
        ),
    }


def days(deploys: Iterable[Deploy], *, until: float, seconds: float) -> list[Json]:
    """One row for each day (UTC) of the time, oldest first: {day, done, failed, seconds}; `seconds` is the mean deploy time."""
    last, first = (datetime.fromtimestamp(moment, UTC).date() for moment in (until, until - seconds))
    of_day: defaultdict[str, list[Deploy]] = defaultdict(list)
    for one in deploys:
        if one.outcome != "unchanged":
            of_day[datetime.fromtimestamp(one.finished_at, UTC).date().isoformat()].append(one)
    listed = [(first + timedelta(days=at)).isoformat() for at in range((last - first).days + 1)]
    return [_day(day, of_day.get(day, [])) for day in listed]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that so large a share of all is not above."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


def is_progressive(one: Deploy) -> bool:
    """It lasts as long as its steps, by design."""
    return one.verb == "deploy" and "@" not in one.app


def _day(day: str, listed: Sequence[Deploy]) -> Json:
    done = [one for one in listed if one.outcome == "done"]
    timed = [one.finished_at - one.started_at for one in done if not is_progressive(one)]
    return {"day": day, "done": len(done), "failed": len(listed) - len(done), "seconds": _mean(timed)}


def _failures(tried: Sequence[Deploy]) -> list[Failure]:
    """Taken back by its own figures or by order while it was brought out, or by the rollback that came next."""
    found = [Failure(one, one.finished_at) for one in tried if one.outcome == "back"]
    last: dict[str, Deploy] = {}
    for one in tried:
        if one.outcome != "done":
            continue
        change = last.pop(one.app, None)
        if one.verb != "rollback":
            last[one.app] = one
        elif change is not None:
            found.append(Failure(change, one.finished_at))
    return found


def _reached_at(change: Deploy) -> float:
    """When people had it: with a progressive delivery from its beginning."""
    return change.started_at if is_progressive(change) else change.finished_at


def _lead_times(tried: Iterable[Deploy]) -> list[float]:
    """From the commit to where it runs, once for each commit and place."""
    found: dict[tuple[str, str], float] = {}
    for one in tried:
        if one.outcome == "done" and one.verb != "rollback" and one.committed_at is not None:
            found.setdefault((one.app, one.revision), one.finished_at - one.committed_at)
    return list(found.values())


def _no_commit(reached: Sequence[Deploy]) -> str:
    if not reached:
        return say("nothing was deployed in this time")
    if any(one.revision for one in reached):
        return say("the code was not as committed")
    return say("the code is in no Git repository")


def _figure(title: str, value: float | None, unit: Unit, of: int, why: str) -> Json:
    return {"title": title, "value": value, "unit": unit, "of": of, "why": why if value is None else ""}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
