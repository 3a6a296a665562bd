"""Migrations and seeds: commands of a service that are done to its data before its processes run, once for each content.

They are jobs of the engine, with the service's identity and its needs, and a credential of their own that may change what tables are.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiculturekit import threads
from aiculturekit.engine import logs
from aiculturekit.engine.supervisor import Engine
from aiculturekit.errors import HostTrouble, NeverReady
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.targets.local import launches, ledgers
from aiculturekit.targets.local.ledgers import Task

OUTPUT = 100
"""Lines of a migration that are told, the last ones; its log has them all."""


class Migrations:
    """`locks` has one for each resource: what two services do to the same data happens one after the other."""

    def __init__(self, *, home: Path, engine: Engine) -> None:
        self._home, self._engine = home, engine
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def is_due(self, app: str, document: Document) -> bool:
        return await threads.run(ledgers.is_due, self._home, app, document)

    async def run(
        self,
        app: str,
        document: Document,
        *,
        launch: Callable[[Document], Awaitable[None]],
        tell: Callable[[str], None],
    ) -> None:
        """All that is due, to its end; what it prints is told. `launch` runs a document as a job. Raises NeverReady with the last lines."""
        async with contextlib.AsyncExitStack() as stack:
            for folder in ledgers.folders(self._home, app, document):
                await stack.enter_async_context(self._locks[folder])
            await self._engine.remove(launches.key(app, document))  # one that outlived its daemon
            for task in await threads.run(lambda: list(ledgers.due(self._home, app, document))):
                await self._do(app, document, task, launch, tell)
                try:
                    await threads.run(ledgers.mark, self._home, app, document, task=task)
                except OSError as error:
                    raise HostTrouble(say("services/{name}: {error}", name=document.name, error=str(error))) from error

    async def _do(
        self,
        app: str,
        document: Document,
        task: Task,
        launch: Callable[[Document], Awaitable[None]],
        tell: Callable[[str], None],
    ) -> None:
        command: str = document.body[task]["run"]
        tell(f"$ {command}")
        job = dataclasses.replace(document, body={**document.body, **document.body[task]})
        try:
            await launch(job)
        except NeverReady as error:
            raise self._failed(app, document, task, error) from error
        for line in await threads.run(self._printed, app, document):
            tell(line)

    def _printed(self, app: str, document: Document) -> list[str]:
        key = launches.key(app, document)
        status = self._engine.status(key)
        instance = status.instances[-1].id if status and status.instances else ""
        return logs.last_lines(
            logs.path(self._home, app=app, name=key.name, version=key.version, instance=instance), count=OUTPUT
        )

    def _failed(self, app: str, document: Document, task: Task, error: NeverReady) -> NeverReady:
        status = self._engine.status(launches.key(app, document))
        reason = status.instances[-1].reason if status and status.instances else error.message
        what = say("migration") if task == "run" else say("seed")
        return NeverReady(
            say("{what} of {name} failed: {reason}", what=what, name=document.name, reason=reason),
            tail=error.tail,
            hint=error.hint
            or say(
                "nothing new was started, what ran goes on running; what the command did to the data before it failed is not undone: "
                "mend it and run `aic up` again"
            ),
        )
