from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.engine.schedules import Schedule, Scheduler
from aiculturekit.errors import UsageError
from aiculturekit.spec import crons


def at(text: str, zone: str | None = None) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone) if zone else None)


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:15:00"),
        ("0 2 * * *", "2026-01-01T02:00:00", "2026-01-02T02:00:00"),
        ("30 4 1,15 * 5", "2026-01-02T05:00:00", "2026-01-09T04:30:00"),  # a Friday: either day is enough
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 9-17/4 * jan mon-fri", "2026-01-02T18:00:00", "2026-01-05T09:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("0 0 * * 7", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
    ],
)
def test_when_a_schedule_is_due_next(schedule: str, after: str, due: str) -> None:
    assert Schedule.parse(schedule).next_after(at(after)) == at(due)


def test_a_day_that_never_comes_is_never_due() -> None:
    assert Schedule.parse("0 0 31 2 *").next_after(at("2026-01-01T00:00:00")) is None


def test_an_hour_that_summer_time_skips_is_skipped_and_one_that_comes_twice_is_served_once() -> None:
    berlin = "Europe/Berlin"
    assert Schedule.parse("30 2 * * *").next_after(at("2026-03-28T12:00:00", berlin)) == at(
        "2026-03-30T02:30:00", berlin
    )
    first = Schedule.parse("30 2 * * *").next_after(at("2026-10-24T12:00:00", berlin))
    assert first == at("2026-10-25T02:30:00", berlin)
    assert first is not None and Schedule.parse("30 2 * * *").next_after(first) == at("2026-10-26T02:30:00", berlin)


@given(
    st.sampled_from(["* * * * *", "*/7 1-5 * * *", "0 0 1 * 1", "5 4 * */2 *"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
def test_the_next_due_time_lies_ahead_on_a_whole_minute(schedule: str, moment: datetime) -> None:
    due = Schedule.parse(schedule).next_after(moment)
    assert due is not None and due > moment and (due.second, due.microsecond) == (0, 0)


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "a * * * *", "@often"]
)
def test_what_is_no_schedule_is_refused_here_and_in_the_file(text: str) -> None:
    with pytest.raises(UsageError):
        Schedule.parse(text)
    with pytest.raises(ValueError, match=r"."):
        crons.checked(text)


class Clock:
    def __init__(self, moment: str) -> None:
        self.now = at(moment)

    def __call__(self) -> datetime:
        return self.now


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0.005)


async def test_a_clock_that_jumps_runs_a_missed_time_once_and_nothing_twice() -> None:
    clock, runs = Clock("2026-01-01T00:00:30"), []
    scheduler = Scheduler(now=clock, tick=0.01)

    async def run() -> None:
        runs.append(clock.now)

    scheduler.set("job", "0 * * * *", run)
    await settle()
    assert runs == []
    clock.now += timedelta(hours=5)  # a laptop that slept
    await settle()
    assert len(runs) == 1
    clock.now -= timedelta(hours=3)  # a clock set back
    await settle()
    assert len(runs) == 1
    clock.now = at("2026-01-01T06:00:01")
    await settle()
    assert len(runs) == 2
    await scheduler.close()


async def test_a_run_that_takes_long_is_not_joined_by_a_second_and_a_failure_ends_nothing() -> None:
    clock, running, runs = Clock("2026-01-01T00:00:30"), 0, 0
    release = asyncio.Event()
    scheduler = Scheduler(now=clock, tick=0.01)

    async def run() -> None:
        nonlocal running, runs
        running, runs = running + 1, runs + 1
        assert running == 1
        await release.wait()
        running -= 1
        raise RuntimeError("job failed")

    scheduler.set("job", "* * * * *", run)
    for _ in range(3):
        clock.now += timedelta(minutes=1)
        await settle()
    assert runs == 1
    release.set()
    await settle()
    clock.now += timedelta(minutes=1)
    await settle()
    assert runs == 2
    await scheduler.close()
