"""A state database: transactions, one at a time, on one worker thread; drivers' errors become ours at this boundary.

Why synchronous: SQLAlchemy's asyncio extension costs a daemon that has to be up in a second 170 ms and 6 MB, and still
runs SQLite in a thread. The one thread is also what puts the transactions in order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from aiculturekit import threads
from aiculturekit.errors import AicError, Unreachable
from aiculturekit.language import say
from aiculturekit.state import revisions

P = ParamSpec("P")
T = TypeVar("T")
Translate = Callable[[DBAPIError], AicError | None]
"""A driver's error as one of ours; None where it is a bug of ours and must be seen as such."""

RELAXED = "aic_relaxed"
"""The execution option by which a transaction says that it need not survive the machine losing power."""
_relaxed: set[Callable[..., Any]] = set()


def relaxed(function: Callable[P, T]) -> Callable[P, T]:
    """Mark a repository function: its own transaction survives every crash of a process, but is not forced onto the
    disk.

    For what is frequent and is found out anew after a power cut anyway. The next transaction that is forced takes all
    earlier ones with it. Everything that is not marked is forced.
    """
    _relaxed.add(function)
    return function


class Database:
    """`where` is the place as it may be shown to a user. Made by `state.open`."""

    def __init__(self, engine: Engine, *, where: str, translate: Translate) -> None:
        self.where = where
        self._engine = engine
        self._translate = translate
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aic-state")
        self._is_open = True
        self._condition: Callable[[Connection], None] | None = None

    def require(self, condition: Callable[[Connection], None]) -> None:
        """Asked at the beginning of every transaction from now on; where it raises, nothing of the transaction happens."""
        self._condition = condition

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)` as one transaction: committed when it returns, undone when it raises.

        May wait for the transactions before it. A caller that is cancelled does not stop one that has begun. Raises
        Busy or Unreachable (the same call may succeed later), HostTrouble (the machine must be mended), or what
        `function` raises.
        """
        if not self._is_open:
            raise Unreachable(say("{where} is closed", where=self.where), hint=say("the daemon is stopping; try again"))

        def transact() -> T:
            options = {RELAXED: function in _relaxed}
            with (
                translated(self._translate),
                self._engine.connect().execution_options(**options) as connection,
                connection.begin(),
            ):
                if self._condition is not None:
                    self._condition(connection)
                return function(connection, *args, **kwargs)

        return await threads.run_on(self._thread, transact)

    async def close(self) -> None:
        """Finish what was begun and let go of the database. Idempotent."""
        self._is_open = False
        await threads.run(self._thread.shutdown)
        await threads.run(self._engine.dispose)


def prepared(engine: Engine, *, where: str, translate: Translate) -> Database:
    """The database behind the engine, brought to this version's shape. Blocks. Raises Refused for a newer version's."""
    try:
        with translated(translate), engine.begin() as connection:
            revisions.prepare(connection, where=where)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, where=where, translate=translate)


@contextlib.contextmanager
def translated(translate: Translate) -> Iterator[None]:
    """Drivers' errors within the block are raised as ours."""
    try:
        yield
    except IntegrityError:
        raise  # a rule of the schema was broken: our bug, whatever the driver calls it
    except DBAPIError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
