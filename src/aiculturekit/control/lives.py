"""The daemon's own life: take up what the last one left, heal what is missing, and leave in good order."""

from __future__ import annotations

import logging
from typing import Any

from aiculturekit.control.applications import Applications
from aiculturekit.control.operations import Operations, Work
from aiculturekit.deploy.changes import Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.engine.supervisor import Engine
from aiculturekit.plan.documents import Document
from aiculturekit.state import documents, operations
from aiculturekit.state.databases import Database
from aiculturekit.state.operations import Operation as Journalled
from aiculturekit.targets.local import Local

log = logging.getLogger(__name__)


class Life:
    """`begin` before the first request is served, `end` after the last."""

    def __init__(
        self,
        *,
        database: Database,
        target: Local,
        pipeline: Pipeline,
        engine: Engine,
        operations: Operations,
        applications: Applications,
    ) -> None:
        self._database, self._target, self._pipeline = database, target, pipeline
        self._engine, self._operations, self._applications = engine, operations, applications

    async def begin(self) -> None:
        """Adopt processes, open the target on the recorded documents, then resume and heal in the background: operations
        that a crash cut short first, then applications of which something is missing (a reboot)."""
        recorded = await self._database.run(_recorded)
        await self._engine.start()
        await self._target.open(recorded)
        listed = await self._database.run(operations.unfinished)
        unfinished = {operation.app: operation for operation in listed if "@" not in operation.app}
        for app, one in unfinished.items():
            work = self._resuming(one)
            self._operations.start(app, verb=one.verb, author=one.author, work=work, started_at=one.started_at)
        for app in recorded:
            if app not in unfinished:
                await self._heal(app, recorded[app])
        if not unfinished:
            await self._target.sweep()

    async def stop_everything(self) -> None:
        """Take every application down, one after the other's start, and wait for all."""
        ends = [await self._applications.down(app, author="local") for app in self._target.apps()]
        for operation in ends:
            async for _ in operation.follow():
                pass
        await self._engine.stop_all()

    async def _heal(self, app: str, recorded: list[Document]) -> None:
        observed = {document.key for document in await self._target.observe(app)}
        if {document.key for document in recorded} <= observed and not self._engine.is_short(app):
            return

        async def work(emit: Emit) -> None:
            await self._pipeline.restore(app, recorded, emit=emit)
            await self._engine.settle(app, progress=lambda name, message: None)

        self._operations.start(app, verb="restore", author="platform", work=work)

    def _resuming(self, operation: Journalled) -> Work:
        async def work(emit: Emit) -> int | None:
            try:
                await self._pipeline.resume(operation, emit=emit)
            finally:
                await self._target.sweep()
            return operation.release

        return work


def _recorded(connection: Any) -> dict[str, list[Document]]:
    return {
        app: [Document.from_dict(record) for record in documents.of_app(connection, app)]
        for app in documents.apps(connection)
        if "@" not in app  # what is in force in a cluster is kept there
    }
