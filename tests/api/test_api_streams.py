"""A stream of events ends with its events, with its caller, or with its failure; nothing of it is left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiculturekit.api import streams

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Caller:
    """One side of an exchange: `sent` is what it got; it leaves when `leaves` is set."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))


async def test_it_ends_with_its_events() -> None:
    async def events() -> AsyncIterator[tuple[str, dict[str, int]]]:
        for number in range(3):
            yield "step", {"number": number}

    caller = Caller()
    await asyncio.wait_for(streams.response(events())(SCOPE, caller.receive, caller.send), 30)
    start, *bodies = caller.sent
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert dict(start["headers"])[b"cache-control"] == b"no-store"
    assert b"".join(body["body"] for body in bodies).count(b"event: step") == 3
    assert [body["more_body"] for body in bodies] == [True, True, True, False]


async def test_a_caller_who_leaves_ends_what_makes_the_events() -> None:
    ended = asyncio.Event()

    async def events() -> AsyncIterator[tuple[str, dict[str, int]]]:
        try:
            yield "first", {}
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = Caller()
    serving = asyncio.create_task(streams.response(events())(SCOPE, caller.receive, caller.send))
    while len(caller.sent) < 2:
        await asyncio.sleep(0.001)
    assert not serving.done()
    caller.leaves.set()
    await asyncio.wait_for(serving, 30)
    await asyncio.wait_for(ended.wait(), 30)


async def test_the_end_of_the_server_ends_it_too() -> None:
    ended = asyncio.Event()

    async def events() -> AsyncIterator[tuple[str, dict[str, int]]]:
        try:
            await asyncio.Event().wait()
            yield "never", {}
        finally:
            ended.set()

    caller = Caller()
    serving = asyncio.create_task(streams.response(events())(SCOPE, caller.receive, caller.send))
    while not caller.sent:
        await asyncio.sleep(0.001)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    await asyncio.wait_for(ended.wait(), 30)


async def test_a_failure_is_raised() -> None:
    async def events() -> AsyncIterator[tuple[str, dict[str, int]]]:
        yield "first", {}
        raise ZeroDivisionError

    caller = Caller()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(streams.response(events())(SCOPE, caller.receive, caller.send), 30)
