"""Cron: when a schedule is due next, and a scheduler that survives jumps of the wall clock.

Five fields as in Vixie cron: minute hour day-of-month month day-of-week; where both days are restricted, either is enough. Local time: an
hour that a time change skips is skipped with it, an hour that comes twice is served once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta

from aiculturekit.errors import AicError, UsageError
from aiculturekit.language import say

log = logging.getLogger(__name__)
_NAMED = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_WORDS = {word: at for at, word in enumerate(_MONTHS, 1)} | {word: at for at, word in enumerate(_DAYS)}
_ITEM = re.compile(r"(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_HORIZON = timedelta(days=366 * 8 + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes, hours … at which it is due. Sundays are 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Raises UsageError for what is no schedule."""
        parts = _NAMED.get(text.strip().lower(), text).lower().split()
        try:
            fields = [_field(part, *bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)]
        except ValueError:
            raise UsageError(say("{text} is not a schedule of five fields", text=repr(text))) from None
        weekdays = frozenset(day % 7 for day in fields[4])
        either = not any(part[0] in "*?" for part in (parts[2], parts[4]))
        return cls(fields[0], fields[1], fields[2], fields[3], weekdays, either)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due minute after `moment` (in its own time zone, or naive); None when there is none within eight years."""
        candidate = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = moment + _HORIZON
        while candidate < end:
            if candidate.month not in self.months or not self._is_day(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif candidate.hour not in self.hours:
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif candidate.minute not in self.minutes or _is_skipped(candidate):
                candidate += timedelta(minutes=1)
            else:
                return candidate
        return None

    def _is_day(self, moment: datetime) -> bool:
        by_date, by_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (by_date or by_week) if self.either_day else (by_date and by_week)


def _field(part: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for item in part.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(item)
        anything, first, last, step = match.groups()
        start = low if anything else _number(first)
        stop = high if anything or (step and not last) else _number(last or first)
        if not low <= start <= stop <= high or step == "0":
            raise ValueError(item)
        found.update(range(start, stop + 1, int(step or 1)))
    return frozenset(found)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _WORDS.get(word, -1)


def _is_skipped(moment: datetime) -> bool:
    """Whether the wall clock never shows this minute: the hour that a change to summer time leaves out."""
    if moment.tzinfo is None:
        return False
    there_and_back = datetime.fromtimestamp(moment.timestamp(), moment.tzinfo)
    return there_and_back.replace(tzinfo=None, fold=0) != moment.replace(tzinfo=None, fold=0)


Run = Callable[[], Awaitable[object]]


class Scheduler:
    """Calls `run` when its schedule is due, one run at a time: a due time that finds the last run under way is skipped.

    It looks at the wall clock every `tick` seconds at the latest. A jump forward over due times runs once; a jump backward runs nothing
    twice, since a due time must lie after the last one served.
    """

    def __init__(
        self, *, now: Callable[[], datetime] = lambda: datetime.now().astimezone(), tick: float = 20.0
    ) -> None:
        self._now, self._tick = now, tick
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def set(self, key: Hashable, schedule: str, run: Run) -> None:
        """Start (or replace) a schedule. Raises UsageError."""
        parsed = Schedule.parse(schedule)
        self.forget(key)
        self._tasks[key] = asyncio.create_task(self._serve(parsed, run), name=f"schedule {key}")

    def forget(self, key: Hashable) -> None:
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        for key in list(self._tasks):
            self.forget(key)

    async def _serve(self, schedule: Schedule, run: Run) -> None:
        served = self._now()
        while (due := schedule.next_after(served)) is not None:
            while (now := self._now()) < due:  # noqa: ASYNC110  # the wall clock sends no event
                await asyncio.sleep(min(max((due - now).total_seconds(), 0.01), self._tick))
            served = max(due, now)
            try:
                await run()
            except AicError as error:  # recorded by whoever runs it; the next due time is its own
                log.warning("scheduled run failed: %s", error.message)
            except Exception:
                log.exception("scheduled run")
            served = max(served, self._now())
