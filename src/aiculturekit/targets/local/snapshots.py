"""Copies of all data of an application as it was at one point, each in a folder of its own under a name.

A snapshot is there when its folder has its name: it is made under another one, and what describes it is written before. What a restore
replaces becomes a snapshot itself, by exchanging two folders in one step: at no moment is there data that no folder holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.engine.supervisor import Engine
from aiculturekit.errors import Mistake, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import copies, places
from aiculturekit.resources.servers import Saving
from aiculturekit.targets.local.stores import Stores, backend, needed_users

Tell = Callable[[str, str], None]
"""Called with (resource, message)."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ABOUT = "snapshot.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """`created_at` is seconds since the epoch; `resources` maps each name to its type and its bytes."""

    app: str
    name: str
    created_at: float
    release: int
    resources: Mapping[str, Mapping[str, Any]] = dataclasses.field(hash=False)

    @property
    def bytes(self) -> int:
        return sum(resource["bytes"] for resource in self.resources.values())


class Snapshots:
    """Those of one home. One at a time for each application; the caller sees to that."""

    def __init__(self, *, home: Path, engine: Engine, stores: Stores) -> None:
        self._home, self._engine, self._stores = home, engine, stores
        self._uid = places.server_uid()

    def of(self, app: str) -> list[Snapshot]:
        """Newest first. Blocks."""
        found = [_read(file) for file in self._folder(app).glob(f"[!.]*/{_ABOUT}")]
        return sorted((one for one in found if one), key=lambda one: -one.created_at)

    async def save(
        self,
        app: str,
        name: str,
        *,
        documents: Sequence[Document],
        release: int,
        tell: Tell,
        is_still: bool = True,
    ) -> Snapshot:
        """All data of these documents; nobody of the application writes meanwhile where it must be `is_still`. Raises Mistake for a
        name, Failed."""
        data = _kept(documents)
        if not data:
            raise Refused(say("{app} has no data of its own to save", app=app))
        fresh = await threads.run(self._begin, app, name)
        try:
            with self._engine.frozen(app) if is_still else contextlib.nullcontext():
                for document in data:
                    tell(document.name, say("saving"))
                    await self.copy(app, document, documents, fresh / document.name)
            saved = Snapshot(app, name, time.time(), release, await threads.run(_described, fresh, data))
            await threads.run(_finish, fresh, saved)
        except BaseException:
            await threads.run(shutil.rmtree, fresh, ignore_errors=True)
            raise
        return saved

    async def restore(
        self, app: str, name: str, *, documents: Sequence[Document], release: int, tell: Tell
    ) -> Snapshot:
        """The data as it was; answers the snapshot that what was there has become. Who uses it is started anew. Raises NotFound,
        Mistake where types differ; Failed, with everything as it was, where a server does not start on it."""
        found = await threads.run(self.get, app, name)
        data = [document for document in _kept(documents) if document.name in found.resources]
        _require_types(found, data)
        aside = Snapshot(app, f"before-{time.strftime('%Y%m%d-%H%M%S')}", time.time(), release, found.resources)
        folder = await threads.run(self._stand_by, found, aside, data)
        with self._engine.frozen(app):
            for at, document in enumerate(data):
                tell(document.name, say("restoring"))
                try:
                    await self._swap(app, document, documents, folder / document.name, release)
                except BaseException:
                    for earlier in reversed(data[: at + 1]):
                        await asyncio.shield(self._swap(app, earlier, documents, folder / earlier.name, release))
                    await threads.run(shutil.rmtree, folder)
                    raise
        await threads.run(_finish, folder, dataclasses.replace(aside, resources=_described(folder, data)))
        for status in self._engine.statuses():
            if status.workload.key.app == app and status.workload.kind == "service":
                await self._engine.restart(status.workload.key)
        return aside

    async def _swap(
        self, app: str, document: Document, documents: Sequence[Document], copy: Path, release: int
    ) -> None:
        """The data and the copy change places; done again, they are as before."""
        server = _server(documents, document.name)
        if server:
            await self._stores.stop(app, server)
        await threads.run(self._exchange, copy, app, document.name)
        if server:
            needed = needed_users(documents, document.name)
            await self._stores.start(app, server, needed=needed, release=release, tell=lambda _: None)

    async def place(self, app: str, name: str, *, origin: str) -> None:
        """The data for an application that has none yet, from a snapshot of `origin`. Raises NotFound, Refused."""
        found = await threads.run(self.get, origin, name)
        there = [one for one in found.resources if places.folder(self._home, app, one).exists()]
        if there:
            raise Refused(
                say("{app} has data already: {names}", app=app, names=", ".join(sorted(there))),
                hint=say("`aic snapshot restore {name}` replaces it, and keeps it as a snapshot", name=name),
            )
        for one in found.resources:
            await threads.run(self._fill, found, one, app)

    def get(self, app: str, name: str) -> Snapshot:
        """Blocks. Raises NotFound."""
        known = {one.name: one for one in self.of(app)}
        if name not in known:
            raise NotFound(
                say("{app} has no snapshot {name}", app=app, name=repr(name[:60])),
                hint=say("`aic snapshot list` shows them"),
            )
        return known[name]

    def remove(self, app: str, name: str) -> Snapshot:
        """Blocks. Raises NotFound."""
        found = self.get(app, name)
        gone = self._folder(app) / f".{name}.gone"
        (self._folder(app) / name).rename(gone)  # half a snapshot must not be taken for a whole one
        shutil.rmtree(gone)
        return found

    def folder(self, app: str, name: str) -> Path:
        """Where the snapshot of this name is, or would be."""
        return self._folder(app) / name

    def adopt(self, app: str, name: str, folder: Path, data: Sequence[Document]) -> Snapshot:
        """A folder with data for these documents becomes a snapshot. Blocks."""
        made = Snapshot(app, name, time.time(), 0, _described(folder, data))
        shutil.rmtree(self.folder(app, name), ignore_errors=True)
        _finish(folder, made)
        return made

    def _folder(self, app: str) -> Path:
        return places.snapshots(self._home, app, uid=self._uid)

    def _begin(self, app: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Mistake(
                say("{name} is no name for a snapshot", name=repr(name[:60])),
                hint=say("use small letters, digits, dots and hyphens"),
            )
        if name in {one.name for one in self.of(app)}:
            raise Mistake(
                say("there is a snapshot {name} already", name=name),
                hint=say("choose another name, or remove it first"),
            )
        fresh = self._folder(app) / f".{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        return fresh

    async def copy(self, app: str, document: Document, documents: Sequence[Document], into: Path) -> None:
        """One resource's data, into a folder that is not there yet; the caller keeps writers still where that is needed."""
        server = _server(documents, document.name)
        played = backend(server) if server and self._stores.is_running(app, document.name) else None
        if server and isinstance(played, Saving):
            await threads.run(self._make, into)
            await played.save(await self._stores.ground(app, server), into)
        else:
            await threads.run(copies.tree, places.folder(self._home, app, document.name).resolve(), into)

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if self._uid is not None:
            os.chown(folder, self._uid, self._uid)

    def _stand_by(self, found: Snapshot, aside: Snapshot, data: Sequence[Document]) -> Path:
        """A second copy, which takes the place of the data: the slow part comes before anything stops."""
        fresh = self._begin(aside.app, aside.name)
        for document in data:
            copies.tree(self._folder(found.app) / found.name / document.name, fresh / document.name)
        return fresh

    def _exchange(self, copy: Path, app: str, name: str) -> None:
        copies.exchange(copy, places.folder(self._home, app, name).resolve())

    def _fill(self, found: Snapshot, name: str, app: str) -> None:
        is_file = found.resources[name]["type"] in ("sqlite", "volume")
        folder = places.create(self._home, app, name, uid=None if is_file else self._uid)
        copies.tree(self._folder(found.app) / found.name / name, folder.resolve())


def _kept(documents: Sequence[Document]) -> list[Document]:
    """The resources whose data is ours."""
    return [document for document in documents if document.kind == "resource" and not document.body.get("url")]


def _server(documents: Sequence[Document], name: str) -> Document | None:
    return next((document for document in documents if document.key == ("server", name)), None)


def _require_types(found: Snapshot, data: Sequence[Document]) -> None:
    for document in data:
        was, now = found.resources[document.name]["type"], document.body["type"]
        if was != now:
            raise Mistake(say("{name} is {now} now, and was {was} then", name=document.name, now=now, was=was))
    if not data:
        raise Mistake(say("the snapshot {name} has nothing of what {app} has now", name=found.name, app=found.app))


def _described(folder: Path, data: Sequence[Document]) -> dict[str, dict[str, Any]]:
    return {d.name: {"type": d.body["type"], "bytes": copies.size(folder / d.name)} for d in data}


def _finish(folder: Path, snapshot: Snapshot) -> None:
    (folder / _ABOUT).write_text(json.dumps(dataclasses.asdict(snapshot)))
    folder.rename(folder.with_name(snapshot.name))


def _read(file: Path) -> Snapshot | None:
    """None for one that is just being removed, or was written by something else."""
    try:
        return Snapshot(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
