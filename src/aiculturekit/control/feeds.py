"""What comes in by itself: live state, refused calls, followed logs; and the record of what happened."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.control import refusals, times, views
from aiculturekit.control.hubs import Hub
from aiculturekit.control.operations import Operation
from aiculturekit.engine import logs
from aiculturekit.engine.workloads import Event
from aiculturekit.language import say
from aiculturekit.mesh.nodes import Refusal
from aiculturekit.state import changes, releases
from aiculturekit.state.databases import Database

Json = dict[str, Any]
_REFUSALS_KEPT = 200


class Feeds:
    """Told of everything by the engine, the mesh and the operations; tells the hub and keeps the record."""

    def __init__(self, *, home: Path, database: Database, hub: Hub, views: views.Views) -> None:
        self._home, self._database, self._hub, self._views = home, database, hub, views
        self._refusals: OrderedDict[refusals.Key, Json] = OrderedDict()
        self._pending: set[asyncio.Task[None]] = set()

    def on_event(self, event: Event) -> None:
        """An event of the engine: worth a line in the record unless it is routine, always a sign that something changed."""
        self._hub.tell("changed", {"app": event.key.app})
        if event.level != "info":
            workload = f"{event.key.name}/{event.key.version}"
            self._soon(self.record(event.key.app, workload, kind=event.kind, message=event.message, level=event.level))

    def on_mesh(self, message: str) -> None:
        """Something about the proxy itself: it ended and was started again, a configuration was refused."""
        self._soon(self.record("", "envoy", kind="mesh", message=message, level="warning"))

    async def on_scaling(self, app: str, workload: str, message: str) -> None:
        await self.record(app, workload, kind="scale", message=message, level="info", author="autoscaler")
        self._hub.tell("changed", {"app": app})

    async def on_operation(self, operation: Operation) -> None:
        level, outcome = (
            ("error", operation.error.message) if operation.error else ("info", await self._outcome(operation))
        )
        if outcome:
            await self.record(
                operation.app, "", kind=operation.verb, message=outcome, level=level, author=operation.author
            )
        self._hub.tell("changed", {"app": operation.app})

    async def on_refusal(self, refusal: Refusal) -> None:
        """Count it, and say which line would allow it the first time it is seen."""
        key = refusals.key(refusal)
        known = self._refusals.pop(key, None)
        record = known or await self._explained(refusal)
        record |= {
            "at": times.iso(refusal.at),
            "method": refusal.method,
            "path": refusal.path,
            "count": record["count"] + 1,
        }
        self._refusals[key] = record
        while len(self._refusals) > _REFUSALS_KEPT:
            self._refusals.popitem(last=False)
        self._hub.tell("refusal", record)
        if known is None:
            message = f"{record['message']}; {record['hint']}"
            kind = "audit" if refusal.allowed else "refused"
            await self.record(refusal.app, refusal.source, kind=kind, message=message, level="warning")

    async def record(
        self, app: str, workload: str, *, kind: str, message: str, level: str, author: str = "platform"
    ) -> None:
        now = time.time()
        identifier = await self._database.run(
            changes.append, at=now, app=app, workload=workload, kind=kind, message=message, level=level, author=author
        )
        row = {
            "id": identifier,
            "at": times.iso(now),
            "app": app,
            "workload": workload,
            "kind": kind,
            "message": message,
        }
        self._hub.tell("change", row | {"level": level, "author": author})

    def refusals(self, app: str | None) -> list[Json]:
        """Newest first."""
        return [record for record in reversed(self._refusals.values()) if app is None or record["app"] == app]

    async def live(self, app: str | None) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """The hub's news of one application (or all), with the graph after each sample."""
        yield "hello", {"app": app}
        async with self._hub.listen() as queue:
            while True:
                kind, payload = await queue.get()
                if kind == "sample":
                    for name in [app] if app else self._views.up():
                        if name in self._views.up():
                            yield "graph", {"app": name, "graph": await self._views.graph(name)}
                elif app is None or payload.get("app") in (app, None):
                    yield kind, payload

    async def recent_logs(self, app: str, workload: str | None, version: str | None, tail: int) -> list[Json]:
        await self._views.app(app)
        return await self._views.logs(app, workload, tail, version)

    async def logs(self, app: str, workload: str | None, version: str | None, tail: int) -> AsyncIterator[Json]:
        async for record in logs.follow(self._home, app=app, workload=workload, version=version, tail=tail):
            yield views.log_record(app, record)

    def _soon(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _outcome(self, operation: Operation) -> str:
        if operation.release is None:
            return say("taken down") if operation.verb == "down" else ""
        release = await self._database.run(releases.get, operation.app, operation.release)
        if operation.verb == "restart":
            return say("restarted")
        changed = len(release.steps) if release else 0
        if release is None or release.created_at < operation.started_at - 1:
            return ""  # nothing changed: no line
        if release.reason:
            return say("release {number}: {reason}", number=release.number, reason=release.reason)
        return say("release {number}: {count} changes", number=release.number, count=changed)

    async def _explained(self, refusal: Refusal) -> Json:
        current = await self._database.run(releases.latest, refusal.app)
        file, environment = (current.file, current.environment) if current else ("", "")
        return refusals.explained(refusal, file=file, environment=environment)
