"""Backups: made on schedule and on demand, listed, proven, and restored."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from datetime import datetime
from typing import Any

from aiculturekit.control import times
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.control.snapshots import release_of, telling
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.state.databases import Database
from aiculturekit.targets.local import Local
from aiculturekit.targets.local import backups as kept

log = logging.getLogger(__name__)
_LOOK = 20.0
"""Seconds between two looks at what is due; a backup is as late as this at most."""
_CARRY = 5.0
"""Seconds between two looks at what a log has left."""
_AGAIN = 900.0
"""Seconds until one that failed is tried again, where it is not due earlier anyway."""


class Backups:
    """How each operation ended is recorded like that of every other; `platform` is the author of what the schedule did."""

    def __init__(self, *, database: Database, target: Local, store: kept.Backups, operations: Operations) -> None:
        self._database, self._target, self._store, self._operations = database, target, store, operations
        self._tried: dict[tuple[str, str, str | None], float] = {}

    async def listed(self, app: str, name: str) -> list[dict[str, Any]]:
        """Newest first, without what was counted in them. Raises NotFound."""
        found = await self._store.listed(app, name, documents=self._target.in_force(app))
        return [{key: value for key, value in about.items() if key != "contents"} for about in found]

    def make(self, app: str, name: str, *, author: str) -> Operation:
        """One now."""

        async def work(emit: Emit) -> None:
            about = await self._store.make(app, name, documents=self._target.in_force(app), tell=telling(emit))
            telling(emit)(name, say("backup {name} is kept", name=about["name"]))

        return self._operations.start(app, verb="backup", author=author, work=work)

    def verify(self, app: str, name: str, backup: str, *, author: str) -> Operation:
        """Restored into a server of its own and compared with what was counted when it was made."""

        async def work(emit: Emit) -> None:
            documents = self._target.in_force(app)
            about = await self._store.verify(app, name, backup, documents=documents, tell=telling(emit))
            message = say("{count} tables or files are as they were", count=len(about["contents"]))
            telling(emit)(name, message)

        return self._operations.start(app, verb="verify", author=author, work=work)

    def restore(self, app: str, name: str, backup: str, *, author: str) -> Operation:
        """The data goes back to the backup; what is there now becomes a snapshot. Raises Busy."""
        self._operations.refuse_held(app)

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(release_of, app)
            tell, documents = telling(emit), self._target.in_force(app)
            aside = await self._store.restore(app, name, backup, documents=documents, release=release or 0, tell=tell)
            tell(app, say("what was there before is the snapshot {name}", name=aside.name))
            return release

        return self._operations.start(app, verb="restore", author=author, work=work)

    def rewind(self, app: str, name: str, at: str, *, author: str) -> Operation:
        """The data becomes what it was at a moment (ISO 8601 with its zone); what is there now becomes a snapshot. Raises Mistake, Busy."""
        moment = times.seconds(at)
        self._operations.refuse_held(app)

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(release_of, app)
            tell, documents = telling(emit), self._target.in_force(app)
            aside = await self._store.rewind(app, name, moment, documents=documents, release=release or 0, tell=tell)
            tell(app, say("what was there before is the snapshot {name}", name=aside.name))
            return release

        return self._operations.start(app, verb="restore", author=author, work=work)

    async def log(self, app: str, name: str) -> dict[str, Any]:
        """How far the resource's log is kept; nothing for one that has none."""
        state = self._store.shipments.state(app, name)
        if state is None:
            return {}
        return dataclasses.asdict(state) | {"shipped_at": times.iso(state.shipped_at)}

    async def carry(self) -> None:
        """For ever: what servers leave of their logs goes to where their backups are."""
        while True:
            await asyncio.sleep(_CARRY)
            for app in self._target.apps():
                for document in self._target.in_force(app):
                    if document.kind == "resource" and document.body.get("backup"):
                        await self._carry(app, document)

    async def _carry(self, app: str, document: Document) -> None:
        try:
            await self._store.shipments.ship(app, document)
        except (AicError, OSError):
            pass  # said where it is known whether it is news
        except Exception:
            log.exception("log of %s/%s", app, document.name)

    async def watch(self) -> None:
        """For ever: what is due is made. One that fails is tried again soon."""
        while True:
            await asyncio.sleep(_LOOK)
            for app in self._target.apps():
                for document in self._target.in_force(app):
                    if document.kind == "resource" and document.body.get("backup"):
                        await self._tend(app, document)

    async def _tend(self, app: str, document: Document) -> None:
        """Nothing that is wrong with one place may end the schedule of the others."""
        try:
            trail = await self._store.log(app, document)
            if await self._is_due(app, document, trail):
                self._tried[app, document.name, trail] = time.time()
                operation = self.make(app, document.name, author="platform")
                async for _ in operation.follow():
                    pass
        except AicError as error:
            log.warning("backup of %s/%s: %s", app, document.name, error.message)
        except Exception:
            log.exception("backup of %s/%s", app, document.name)

    async def _is_due(self, app: str, document: Document, trail: str | None) -> bool:
        """A log is worth nothing before there is a backup that can follow it."""
        every: float = document.body["backup"]["every"]
        if time.time() - self._tried.get((app, document.name, trail), 0.0) < min(every, _AGAIN):
            return False
        found = await self._store.listed(app, document.name, documents=self._target.in_force(app))
        if trail and all((about.get("log") or {}).get("name") != trail for about in found):
            return True
        newest = max((datetime.fromisoformat(about["created_at"]).timestamp() for about in found), default=0.0)
        return time.time() - newest >= every
