"""Requests that were accepted: kept until their operation is in the journal, and no longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from aiculturekit import state
from aiculturekit.control.arrivals import Arrivals, Request
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.control.placements import Caller
from aiculturekit.errors import NotFound
from aiculturekit.state import operations as journal
from aiculturekit.state import requests, settings
from aiculturekit.state.databases import Database

KEY = "shop@staging"


class Placements:
    """Operations that end when they are told to."""

    def __init__(self, operations: Operations, database: Database) -> None:
        self._operations, self._database = operations, database
        self.begun: list[str] = []
        self.journalled, self.ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def rollback(self, key: str, *, number: int, caller: Caller) -> Operation:
        if number == 0:
            raise NotFound("there is no release 0")

        async def work(emit: Any) -> int:
            self.begun.append(caller.request)
            await self.journalled.acquire()
            await self._database.run(begin, key, caller.request)
            await self.ended.acquire()
            return number

        return self._operations.start(key, verb="rollback", author=caller.author, work=work, identifier=caller.request)


def begin(connection: Connection, key: str, request: str) -> None:
    """As the pipeline does, in one transaction."""
    nothing: dict[str, Any] = {"wanted": (), "before": (), "steps": ()}
    for one in journal.unfinished(connection):
        journal.finish(connection, one.id, state="done", error=None, now=2.0)
    number = journal.begin(connection, app=key, verb="rollback", author="ada", release=3, now=1.0, **nothing)
    requests.begun(connection, request, operation=number)


class Stage:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.operations = Operations(on_end=_nothing)
        self.placements = Placements(self.operations, database)
        placements: Any = self.placements
        self.arrivals = Arrivals(database=database, placements=placements, operations=self.operations)

    async def take(self, number: int) -> Operation:
        return await self.arrivals.take(Request("rollback", KEY, {"number": number}, Caller("ada", "why")))

    async def kept(self) -> list[str]:
        return [name for name, _ in await self.database.run(requests.waiting)]

    async def has_kept(self, count: int) -> None:
        async def is_so() -> bool:
            return len(await self.kept()) == count

        await until(is_so)

    async def has_begun(self, count: int) -> None:
        async def is_so() -> bool:
            return len(self.placements.begun) == count

        await until(is_so)

    async def is_told(self, name: str, state: str) -> None:
        async def is_so() -> bool:
            return bool((await self.arrivals.told(name))["state"] == state)

        await until(is_so)

    async def end(self) -> None:
        await self.arrivals.close()
        await self.operations.close()


async def _nothing(_: Operation) -> None:
    pass


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    one = state.open("memory://")
    yield one
    await one.close()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.01)


async def test_what_is_refused_is_not_kept(database: Database) -> None:
    stage = Stage(database)
    with pytest.raises(NotFound):
        await stage.take(0)
    assert await stage.kept() == []


async def test_the_next_daemon_begins_what_the_last_one_did_not_come_to_in_its_order(database: Database) -> None:
    last = Stage(database)
    for number in (1, 2, 3):
        await last.take(number)
    await last.has_begun(1)  # the others wait for their turn
    await last.end()
    following = Stage(database)
    await following.arrivals.resume()
    for _ in range(3):
        following.placements.journalled.release()
        following.placements.ended.release()
    await following.has_begun(3)
    assert following.placements.begun == sorted(following.placements.begun)
    await following.has_kept(0)
    await following.end()


async def test_the_end_of_one_does_not_forget_a_later_one(database: Database) -> None:
    """The first is in the journal, and its name is free; what comes then waits behind it."""
    stage = Stage(database)
    first = await stage.take(1)
    stage.placements.journalled.release()
    await stage.has_kept(0)
    await stage.take(2)
    (waits,) = await stage.kept()
    stage.placements.ended.release()
    await stage.is_told(first.id, "done")
    await stage.has_begun(2)
    await asyncio.sleep(0.05)  # what ended is forgotten a moment later
    assert stage.placements.begun[1:] == [waits]
    assert await stage.kept() == [waits]
    await stage.end()


async def test_whoever_asked_hears_of_it_from_the_next_daemon(database: Database) -> None:
    """While it waits, when it is in the journal, when it has ended; and not what became of another one."""
    last = Stage(database)
    first, second = [(await last.take(number)).id for number in (1, 2)]
    last.placements.journalled.release()
    await last.has_kept(1)
    await last.end()
    following = Stage(database)
    assert [(await following.arrivals.told(name))["state"] for name in (first, second)] == ["running", "running"]
    await following.arrivals.resume()  # `placements.resume` has the first
    following.placements.journalled.release()
    await following.has_kept(0)
    told = await following.arrivals.told(first)
    assert (told["id"], told["state"], told["release"], told["error"]) == (first, "done", 3, None)
    assert (await following.arrivals.told(second))["state"] == "running"
    following.placements.ended.release()
    await following.is_told(second, "done")
    assert (await following.arrivals.told(second))["release"] == 2
    with pytest.raises(NotFound):
        await following.arrivals.told("r000000099")
    await following.end()


async def test_one_that_gave_way_has_failed(database: Database) -> None:
    stage = Stage(database)
    name = (await stage.take(1)).id
    stage.placements.journalled.release()
    await stage.has_kept(0)
    await stage.end()
    for one in await database.run(journal.unfinished):
        await database.run(journal.finish, one.id, state="failed", error=None, now=2.0)
    told = await Stage(database).arrivals.told(name)
    assert (told["state"], told["release"]) == ("failed", None) and told["error"]["message"]


async def test_what_another_version_wrote_keeps_nobody_from_leading(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for at, text in enumerate(('{"verb": "teleport"}', "[]", "no JSON")):
        await database.run(settings.put, f"request:r{at}", value=text)
    stage = Stage(database)
    with caplog.at_level(logging.ERROR):
        await stage.arrivals.resume()
    assert len(caplog.records) == 3 and len(await stage.kept()) == 3


async def test_no_value_of_a_secret_is_kept(database: Database) -> None:
    stage = Stage(database)
    secrets = {"secret:env/KEY": "a-value-that-nobody-keeps"}
    request = Request("rollback", KEY, {"number": 1}, Caller("ada", "why"), secrets=secrets)
    await stage.arrivals.take(request)
    ((_, text),) = await database.run(requests.waiting)
    assert "a-value" not in text
    assert "a-value" not in repr(request)
    stage.placements.journalled.release()
    stage.placements.ended.release()
    await stage.has_kept(0)
    await stage.end()
