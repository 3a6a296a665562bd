"""Keeping all data of an application as it was at one point, and going back to it."""

from __future__ import annotations

import logging
import time
from typing import Any

from aiculturekit import threads
from aiculturekit.control import times
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import AicError, NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.targets.local import Local
from aiculturekit.targets.local import snapshots as kept
from aiculturekit.targets.local.exchanges import Tell
from aiculturekit.targets.local.holdings import Snapshot

log = logging.getLogger(__name__)


class Snapshots:
    """Saving and restoring are operations: they take the application's turn, and can be followed."""

    def __init__(self, *, database: Database, target: Local, store: kept.Snapshots, operations: Operations) -> None:
        self._database, self._target, self._store, self._operations = database, target, store, operations

    async def begin(self) -> None:
        """Finish, in each application's turn, what a daemon that was killed left of a restore."""
        for app in self._target.apps():
            async with self._operations.turn(app):
                try:
                    await self._store.resume(app, self._target.in_force(app))
                except AicError as error:
                    log.warning("the restore of %s that was interrupted: %s", app, error.message)

    async def listed(self, app: str) -> list[dict[str, Any]]:
        """Newest first; also of an application that is down, or that is no more."""
        return [_shown(snapshot) for snapshot in await threads.run(self._store.of, app)]

    def save(self, app: str, name: str, *, author: str) -> Operation:
        """Under a name, or under the moment's own. Raises NotFound."""
        documents = self._documents(app)
        chosen = name or time.strftime("%Y%m%d-%H%M%S")

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(release_of, app)
            await self._store.save(app, chosen, documents=documents, release=release or 0, tell=telling(emit))
            return release

        return self._operations.start(app, verb="snapshot", author=author, work=work)

    async def restore(self, app: str, name: str, *, author: str) -> Operation:
        """What is there now becomes a snapshot of its own. Raises NotFound before anything is touched."""
        documents = self._documents(app)
        self._operations.refuse_held(app)
        await threads.run(self._store.get, app, name)

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(release_of, app)
            tell = telling(emit)
            aside = await self._store.restore(app, name, documents=documents, release=release or 0, tell=tell)
            tell(app, say("what was there before is the snapshot {name}", name=aside.name))
            return release

        return self._operations.start(app, verb="restore", author=author, work=work)

    async def remove(self, app: str, name: str) -> dict[str, Any]:
        """Raises NotFound."""
        async with self._operations.turn(app):
            return _shown(await threads.run(self._store.remove, app, name))

    def _documents(self, app: str) -> list[Document]:
        documents = self._target.in_force(app)
        if not documents:
            raise NotFound(
                say("no application {app} is up", app=app),
                hint=say("`aic up DIRECTORY` brings one up; `aic ps` lists them"),
            )
        return documents


def telling(emit: Emit) -> Tell:
    """What a resource is at becomes the operation's progress."""
    return lambda name, message: emit("progress", {"workload": name, "message": message})


def release_of(connection: Any, app: str) -> int | None:
    """The number of the release in force."""
    current = releases.current(connection, app)
    return current.number if current else None


def _shown(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "app": snapshot.app,
        "name": snapshot.name,
        "created_at": times.iso(snapshot.created_at),
        "release": snapshot.release,
        "resources": dict(snapshot.resources),
        "bytes": snapshot.bytes,
    }
