"""The schedule of backups: it outlives whatever is wrong with one place."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.control import backups
from aiculturekit.control.backups import Backups
from aiculturekit.control.operations import Operations
from aiculturekit.errors import Failed
from aiculturekit.plan.documents import Document
from aiculturekit.resources.shelves import ABOUT, Folder

EVERY = 86400.0


class Stage:
    """A target with one resource and a store, in one; `trouble` is raised by whoever looks into the place, or makes one."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.found: list[dict[str, Any]] = []
        self.trouble: Exception | None = None
        self.failing: Exception | None = None
        self.writes: str | None = None
        self.shipments = self

    def apps(self) -> list[str]:
        return ["shop"]

    def in_force(self, app: str) -> list[Document]:
        return [Document("resource", "books", {"type": "volume", "backup": {"every": EVERY, "keep": 2}})]

    async def listed(self, app: str, name: str, **_: Any) -> list[dict[str, Any]]:
        if self.trouble:
            raise self.trouble
        return self.found

    async def log(self, app: str, resource: Document) -> str | None:
        return self.writes

    async def ship(self, app: str, resource: Document) -> None:
        self.made.append("shipped")
        if self.trouble:
            raise self.trouble

    async def make(self, app: str, name: str, **_: Any) -> dict[str, Any]:
        self.made.append(name)
        if self.failing:
            raise self.failing
        return {"name": "made"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000_000.0]
    monkeypatch.setattr(backups.time, "time", lambda: now[0])
    monkeypatch.setattr(backups, "_LOOK", 0.001)
    return now


async def ended(operation: Any) -> None: ...


def schedule(stage: Any) -> Backups:
    return Backups(database=stage, target=stage, store=stage, operations=Operations(on_end=ended))


async def until(count: int, stage: Stage) -> None:
    async with asyncio.timeout(30):
        while len(stage.made) < count:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("trouble", [PermissionError("the place"), KeyError("created_at"), ValueError("no date")])
async def test_no_trouble_with_a_place_ends_the_schedule(trouble: Exception, clock: list[float]) -> None:
    stage = Stage()
    stage.trouble = trouble
    task = asyncio.create_task(schedule(stage).watch())
    await asyncio.sleep(0.1)
    assert not task.done() and stage.made == []
    stage.trouble = None
    await until(1, stage)
    task.cancel()


async def test_one_that_fails_is_tried_again_soon_and_not_a_day_later(clock: list[float]) -> None:
    stage = Stage()
    stage.failing = Failed("the place is full")
    task = asyncio.create_task(schedule(stage).watch())
    await until(1, stage)
    clock[0] += 100
    await asyncio.sleep(0.1)
    assert len(stage.made) == 1, "not at once"
    clock[0] += 900
    await until(2, stage)
    task.cancel()


async def test_a_log_that_no_backup_can_follow_gets_one_at_once(clock: list[float]) -> None:
    stage, made = Stage(), "2001-09-09T00:00:00+00:00"
    clock[0] = datetime.fromisoformat(made).timestamp() + 60
    stage.found = [
        {"name": "a", "created_at": made, "log": None},
        {"name": "b", "created_at": made, "log": {"name": "log-a"}},
    ]
    stage.writes = "log-a"
    task = asyncio.create_task(schedule(stage).watch())
    await asyncio.sleep(0.1)
    assert stage.made == [], "it has one"
    stage.writes = "log-b"
    await until(1, stage)
    task.cancel()


@pytest.mark.parametrize("trouble", [Failed("the place is full"), PermissionError("the place"), KeyError("a bug")])
async def test_no_trouble_with_a_place_ends_the_carrying(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "_CARRY", 0.001)
    stage = Stage()
    stage.trouble = trouble
    task = asyncio.create_task(schedule(stage).carry())
    await until(3, stage)
    assert not task.done()
    task.cancel()


async def test_what_is_no_backup_of_ours_is_not_listed(tmp_path: Path) -> None:
    for name, text in {
        "20260101T000000Z": {"name": "20260101T000000Z", "created_at": "2026-01-01T00:00:00+00:00"},
        "20260102T000000.123Z": {"name": "20260102T000000.123Z", "created_at": "2026-01-02T00:00:00.123000+00:00"},
        "foreign": {"version": 3},
        "undated": {"name": "undated", "created_at": "yesterday"},
        "number": 3,
        "renamed": {"name": "20260101T000000Z", "created_at": "2026-01-01T00:00:00+00:00"},
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ABOUT).write_text(json.dumps(text))
    names = [about["name"] for about in await Folder(tmp_path).listed()]
    assert names == ["20260102T000000.123Z", "20260101T000000Z"], "newest first, names of both kinds"
