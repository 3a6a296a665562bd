"""Copies of all data of an application as it was at one point, each in a folder of its own under a name.

A snapshot is there when its folder has its name: it is made under another one, and what describes it is written before. What a restore
replaces becomes a snapshot itself, by exchanging two folders in one step: at no moment is there data that no folder holds, and what has a
name that begins with a dot is never the only one.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from aiculturekit import threads
from aiculturekit.engine.supervisor import Engine
from aiculturekit.errors import Failed, Mistake, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import copies, places
from aiculturekit.resources.servers import Saving
from aiculturekit.targets.local import holdings
from aiculturekit.targets.local.data import TYPES
from aiculturekit.targets.local.exchanges import Exchange, Tell, server_of, to_its_end
from aiculturekit.targets.local.holdings import Snapshot
from aiculturekit.targets.local.stores import Stores, backend

Fill = Callable[[Path], Awaitable[None]]
_UNDER_WAY = ".exchanging"
"""A file beside the snapshots while data changes places."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Snapshots:
    """Those of one home. One at a time for each application; the caller sees to that."""

    def __init__(self, *, home: Path, engine: Engine, stores: Stores) -> None:
        self._home, self._engine, self._stores = home, engine, stores
        self._uid = places.server_uid()

    def of(self, app: str) -> list[Snapshot]:
        """Newest first. Blocks."""
        return holdings.all_in(self.folder(app))

    async def save(self, app: str, name: str, *, documents: Sequence[Document], release: int, tell: Tell) -> Snapshot:
        """All data of these documents; nobody of the application writes meanwhile. Raises Mistake for a name, Failed."""
        data = _kept(documents)
        if not data:
            raise Refused(say("{app} has no data of its own to save", app=app))
        await threads.run(self._require_free, app, name)
        async with self.scratch(app, name) as fresh:
            with self._engine.frozen(app):
                for document in data:
                    tell(document.name, say("saving"))
                    await self.copy(app, document, documents, fresh / document.name)
            saved = await threads.run(holdings.holding, Snapshot(app, name, time.time(), release, {}), fresh, data)
            await threads.run(holdings.finish, fresh, saved)
        return saved

    async def restore(
        self, app: str, name: str, *, documents: Sequence[Document], release: int, tell: Tell
    ) -> Snapshot:
        """The data as it was; answers the snapshot that what was there has become. Who uses it is started anew. Raises NotFound,
        Mistake where types differ; Failed, with everything as it was, where a server does not start on it."""
        found = await threads.run(self.get, app, name)
        data = [document for document in _kept(documents) if document.name in found.resources]
        _require_types(found, data)

        async def fill(fresh: Path) -> None:
            for document in data:
                await threads.run(copies.tree, self.folder(app, name) / document.name, fresh / document.name)

        return await self.replace(app, data, fill=fill, documents=documents, release=release, tell=tell)

    async def replace(
        self, app: str, data: Sequence[Document], *, fill: Fill, documents: Sequence[Document], release: int, tell: Tell
    ) -> Snapshot:
        """What `fill` puts into an empty folder, below the name of each of `data`, takes their place; answers the snapshot that what was
        there has become. The slow part comes before anything stops, and the folder is a snapshot before it holds what nothing else
        does. Raises Failed, with everything as it was."""
        aside = Snapshot(app, await threads.run(self._free_name, app), time.time(), release, {})
        async with self.scratch(app, aside.name) as fresh:
            await fill(fresh)
            await threads.run(holdings.finish, fresh, await threads.run(holdings.holding, aside, fresh, data))
        folder = self.folder(app, aside.name)
        exchange = Exchange(
            app, data, folder, home=self._home, stores=self._stores, documents=documents, release=release
        )
        mark = folder.with_name(_UNDER_WAY)
        await threads.run(mark.touch)
        with self._engine.frozen(app):
            try:
                await exchange.forth(tell)
            except BaseException as error:
                await to_its_end(self._give_back(exchange, aside, error))
                mark.unlink()
                raise
        mark.unlink()
        aside = await threads.run(holdings.holding, aside, folder, data)
        await threads.run(holdings.write, folder, aside)
        for status in self._engine.statuses():
            if status.workload.key.app == app and status.workload.kind == "service":
                await self._engine.restart(status.workload.key)
        return aside

    async def resume(self, app: str, documents: Sequence[Document]) -> None:
        """What a daemon that was killed in a restore left: a server that runs on other data may not know today's passwords yet. Raises
        AicError."""
        mark = self.folder(app) / _UNDER_WAY
        if await threads.run(mark.exists):
            await self._stores.admit(app, documents)
            await threads.run(mark.unlink)

    async def _give_back(self, exchange: Exchange, aside: Snapshot, error: BaseException) -> None:
        """The folder goes only when it holds nothing that is not elsewhere. Raises Failed where it does."""
        folder = self.folder(aside.app, aside.name)
        stuck = await exchange.back()
        if not stuck:
            await threads.run(holdings.erase, folder)
            return
        await threads.run(holdings.write, folder, await threads.run(holdings.holding, aside, folder, stuck))
        names = ", ".join(document.name for document in stuck)
        raise Failed(
            say("{error}; and what was there of {names} could not be put back", error=str(error), names=names),
            hint=say("it is the snapshot {name}: `aic snapshot restore {name}`", name=aside.name),
        ) from error

    async def place(self, app: str, name: str, *, origin: str) -> None:
        """The data for an application that has none yet, from a snapshot of `origin`: all of it or nothing. Raises NotFound, Refused,
        Failed."""
        found = await threads.run(self.get, origin, name)
        there = [one for one in found.resources if holdings.has_data(places.folder(self._home, app, one))]
        if there:
            raise Refused(
                say("{app} has data already: {names}", app=app, names=", ".join(sorted(there))),
                hint=say("`aic snapshot restore {name}` replaces it, and keeps it as a snapshot", name=name),
            )
        await to_its_end(threads.run(self._place, found, app))

    def _place(self, found: Snapshot, app: str) -> None:
        """Copies beside the empty folders come first, and take their place when all are whole."""
        fresh: dict[Path, Path] = {}
        placed: list[Path] = []
        try:
            for name, about in found.resources.items():
                uid = None if about["type"] in TYPES else self._uid
                real = places.create(self._home, app, name, uid=uid).resolve()
                fresh[real] = real.with_name(f".{name}.new")
                shutil.rmtree(fresh[real], ignore_errors=True)
                copies.tree(self.folder(found.app, found.name) / name, fresh[real])
                copies.own(fresh[real], uid)
            for real, copy in fresh.items():
                copy.rename(real)
                placed.append(real)
        except BaseException:
            for folder in (*placed, *fresh.values()):
                shutil.rmtree(folder, ignore_errors=True)
            raise

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
        holdings.erase(self.folder(app, name))
        return found

    def folder(self, app: str, name: str = "") -> Path:
        """Where the snapshot of this name is, or would be; without one, where all are."""
        return places.snapshots(self._home, app, uid=self._uid) / name

    @contextlib.asynccontextmanager
    async def scratch(self, app: str, label: str) -> AsyncIterator[Path]:
        """An empty folder beside the snapshots, gone at the end. In the application's turn: what an earlier one left that was killed is
        swept before."""
        folder = await threads.run(self._begin, app, label)
        try:
            yield folder
        finally:
            await threads.run(shutil.rmtree, folder, ignore_errors=True)

    @contextlib.contextmanager
    def still(self, app: str, server: Document | None) -> Iterator[None]:
        """Nobody writes meanwhile, where what plays the resource has no means of its own to be copied as it was at one point."""
        is_quiet = server is not None and isinstance(backend(server), Saving)
        with contextlib.nullcontext() if is_quiet else self._engine.frozen(app):
            yield

    def _require_free(self, app: str, name: str) -> None:
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

    def _free_name(self, app: str) -> str:
        """For what a restore replaces."""
        usual = f"before-{time.strftime('%Y%m%d-%H%M%S')}"
        names = itertools.chain([usual], (f"{usual}-{number}" for number in itertools.count(2)))
        return next(name for name in names if not self.folder(app, name).exists())

    def _begin(self, app: str, label: str) -> Path:
        place = self.folder(app)
        for left in (*place.glob(".*.new"), *place.glob(".*.gone")):
            shutil.rmtree(left, ignore_errors=True)
        fresh = place / f".{label}.new"
        fresh.mkdir(parents=True)
        return fresh

    async def copy(self, app: str, document: Document, documents: Sequence[Document], into: Path) -> None:
        """One resource's data, into a folder that is not there yet; the caller keeps writers still where that is needed."""
        server = server_of(documents, document.name)
        played = backend(server) if server and self._stores.is_running(app, document.name) else None
        if server and isinstance(played, Saving):
            await threads.run(_make, into, self._uid)
            await played.save(await self._stores.ground(app, server), into)
        else:
            await threads.run(copies.tree, places.folder(self._home, app, document.name).resolve(), into)


def _kept(documents: Sequence[Document]) -> list[Document]:
    """The resources whose data is ours."""
    return [document for document in documents if document.kind == "resource" and not document.body.get("url")]


def _require_types(found: Snapshot, data: Sequence[Document]) -> None:
    for document in data:
        was, now = found.resources[document.name]["type"], document.body["type"]
        if was != now:
            raise Mistake(say("{name} is {now} now, and was {was} then", name=document.name, now=now, was=was))
    if not data:
        raise Mistake(say("the snapshot {name} has nothing of what {app} has now", name=found.name, app=found.app))


def _make(folder: Path, uid: int | None) -> None:
    folder.mkdir(mode=0o700)
    copies.own(folder, uid)
