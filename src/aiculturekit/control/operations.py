"""Long-running verbs: each is a task of its own that outlives the request that asked for it, and can be followed from its start."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

from aiculturekit.control import times
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import AicError, Busy, Failed, NotFound
from aiculturekit.language import say

log = logging.getLogger(__name__)
Work = Callable[[Emit], Awaitable[int | None]]
"""What an operation does; answers with the release in force afterwards."""

_KEPT = 200
Order = Literal["promote", "back", "drop"]


class Operation:
    """One verb under way or ended. `events` is all that was emitted, from the first."""

    def __init__(self, identifier: str, *, app: str, verb: str, author: str) -> None:
        self.id, self.app, self.verb, self.author = identifier, app, verb, author
        self.state = "running"
        self.release: int | None = None
        self.error: AicError | None = None
        self.started_at = time.time()
        self.finished_at: float | None = None
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self._news = asyncio.Event()

    def emit(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.events.append((kind, payload))
        self._news.set()
        self._news = asyncio.Event()

    def finish(self, *, release: int | None, error: AicError | None) -> None:
        self.state = "failed" if error else "done"
        self.release, self.error, self.finished_at = release, error, time.time()
        self.emit("done", self.as_dict())

    async def follow(self) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Every event from the first; ends after "done"."""
        for at in itertools.count():
            while at >= len(self.events):
                await self._news.wait()
            yield self.events[at]
            if self.events[at][0] == "done":
                return

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "app": self.app,
            "verb": self.verb,
            "author": self.author,
            "state": self.state,
            "release": self.release,
            "error": self.error.as_dict() if self.error else None,
            "started_at": times.iso(self.started_at),
            "finished_at": times.iso(self.finished_at),
        }


class Holder(Protocol):
    """A delivery under way: it holds its application until it ends."""

    operation: Operation

    @property
    def sentence(self) -> str: ...

    def order(self, what: Order, *, author: str, reason: str) -> None: ...


class Operations:
    """Starts operations, one at a time for each application, and remembers the last ones."""

    def __init__(self, *, on_end: Callable[[Operation], Awaitable[None]]) -> None:
        self._on_end = on_end
        self._all: OrderedDict[str, Operation] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._holders: dict[str, Holder] = {}
        self._numbers = itertools.count(1)
        self._prefix = f"{time.time_ns() // 1_000_000:x}"

    def start(
        self,
        app: str,
        *,
        verb: str,
        author: str,
        work: Work,
        is_long: bool = False,
        identifier: str = "",
        started_at: float | None = None,
    ) -> Operation:
        """Begin at the application's turn. One that `is_long` begins at once, and takes a `turn` for each thing that it changes.
        `identifier` and `started_at` are of one that an earlier daemon began."""
        name = identifier or f"{self._prefix}-{next(self._numbers)}"
        operation = Operation(name, app=app, verb=verb, author=author)
        operation.started_at = started_at or operation.started_at
        self._all[operation.id] = operation
        while len(self._all) > _KEPT:
            self._all.popitem(last=False)
        turn = asyncio.Lock() if is_long else self.turn(app)
        task = asyncio.create_task(self._run(operation, work, turn), name=f"{verb} {app}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return operation

    def get(self, identifier: str) -> Operation:
        try:
            return self._all[identifier]
        except KeyError:
            raise NotFound(say("no operation {id}", id=identifier)) from None

    def running(self, app: str) -> Operation | None:
        return next((o for o in reversed(self._all.values()) if o.app == app and o.state == "running"), None)

    def turn(self, app: str) -> asyncio.Lock:
        """The lock within which the application may be changed."""
        return self._locks[app]

    def hold(self, app: str, holder: Holder) -> None:
        self.refuse_held(app)
        self._holders[app] = holder

    def holder(self, app: str) -> Holder | None:
        return self._holders.get(app)

    def let_go(self, app: str) -> None:
        self._holders.pop(app, None)

    def refuse_held(self, app: str) -> None:
        """Raises Busy while a delivery of the application is under way."""
        if holder := self.holder(app):
            raise Busy(
                say("{app} is being delivered: {sentence}", app=app, sentence=holder.sentence),
                hint=say("`aic promote {app}` finishes it, `aic deploy --abort {app}` goes back", app=app),
            )

    async def close(self) -> None:
        """Let go of what is under way: the journal has it, and the next daemon carries on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, operation: Operation, work: Work, turn: asyncio.Lock) -> None:
        release, error = None, None
        async with turn:
            try:
                release = await work(operation.emit)
            except AicError as failure:
                error = failure
            except Exception as bug:
                log.exception("%s %s ended in a bug", operation.verb, operation.app)
                error = Failed(say("internal error: {error}", error=repr(bug)))
        operation.finish(release=release, error=error)
        await self._on_end(operation)
