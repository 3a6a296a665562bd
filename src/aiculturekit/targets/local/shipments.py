"""The logs of servers, carried from where the servers leave them to where the backups are, and back to a copy that is to follow one.

A part is removed from the spool when the shelf has it. While the shelf can't be reached parts wait in the spool, and nothing is lost but
room on the disk.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import AicError, Failed
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import archives
from aiculturekit.resources.servers import Archiving
from aiculturekit.resources.shelves import Shelf
from aiculturekit.targets.local.data import TYPES
from aiculturekit.targets.local.stores import Stores, backend

log = logging.getLogger(__name__)
_PART = re.compile(r"[0-9A-F]{24}")
_TOGETHER = 32
"""Parts that are carried at once: half a gigabyte before it is packed."""


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """Of one log: `shipped_at` (seconds since the epoch) is when the last part was carried away, `waiting` counts those that were not, and
    `trouble` says why."""

    log: str
    shipped_at: float | None = None
    waiting: int = 0
    trouble: str = ""


class Shipments:
    """Of one home; `shelf` opens a resource's own. `states` is how each carrying ended."""

    def __init__(self, *, stores: Stores, shelf: Callable[[str, Document], Awaitable[Shelf]]) -> None:
        self._stores, self._shelf = stores, shelf
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._states: dict[tuple[str, str], State] = {}

    async def spool(self, app: str, resource: Document) -> Path | None:
        """Where the resource's server leaves its log; None for one that has none."""
        archiving = archiving_of(resource)
        return await threads.run(archiving.spool, self._stores.place(app, resource)) if archiving else None

    async def ship(self, app: str, resource: Document) -> None:
        """What is closed until now is on the shelf. Raises AicError; what is not there then waits."""
        spool = await self.spool(app, resource)
        if spool is None:
            self._states.pop((app, resource.name), None)
            return
        key = app, resource.name
        async with self._turns[key]:
            known = self._states.get(key, State(spool.name))
            try:
                count = await self._carry(app, resource, spool)
                self._states[key] = State(spool.name, time.time() if count else known.shipped_at)
            except (AicError, OSError) as error:
                waiting = len(await threads.run(_waiting, spool))
                trouble = error.message if isinstance(error, AicError) else str(error)
                self._states[key] = dataclasses.replace(known, log=spool.name, waiting=waiting, trouble=trouble)
                if trouble != known.trouble:
                    log.warning("%s/%s: %d parts of its log wait: %s", app, resource.name, waiting, trouble)
                raise

    async def ship_rest(self, app: str, resource: Document, *, folder: Path) -> None:
        """The same for data that was set aside, which the server had left its last parts in."""
        ground = dataclasses.replace(self._stores.place(app, resource), folder=folder)
        archiving = archiving_of(resource)
        spool = await threads.run(archiving.spool, ground) if archiving else None
        if spool is not None:
            await self._carry(app, resource, spool)

    def state(self, app: str, name: str) -> State | None:
        return self._states.get((app, name))

    async def check(self, app: str, resource: Document, about: Mapping[str, Any]) -> int:
        """Every part of the log that the backup may follow is there and whole; answers how many. Raises Failed with those that are not."""
        shelf, known = await self._shelf(app, resource), about["log"]
        files, missing = await self._files(shelf, resource, known)
        damaged = []
        for some in _batches(files):
            with tempfile.TemporaryDirectory() as name:
                await shelf.take(known["name"], some, Path(name))
                damaged += await threads.run(_damaged, Path(name), some)
        if missing or damaged:
            raise _broken(about, missing=missing, damaged=damaged)
        return len(files)

    async def take(self, app: str, resource: Document, about: Mapping[str, Any], *, into: Path) -> None:
        """The parts that the backup may follow, as PART.gz. Raises Failed."""
        shelf, known = await self._shelf(app, resource), about["log"]
        files, _ = await self._files(shelf, resource, known)
        await threads.run(into.mkdir, parents=True)
        await shelf.take(known["name"], files, into)
        await threads.run(_rename, into)

    async def thin(self, app: str, resource: Document, *, kept: Sequence[Mapping[str, Any]]) -> None:
        """Parts that none of the backups that are `kept` could follow go, unless the log is the one that is being written and has no backup
        yet."""
        archiving = archiving_of(resource)
        if archiving is None:
            return
        shelf, spool = await self._shelf(app, resource), await self.spool(app, resource)
        firsts = defaultdict(list)
        for about in kept:
            if known := about.get("log"):
                firsts[known["name"]].append(known["first"])
        for name in await shelf.logs():
            parts = await shelf.parts(name)
            if name in firsts:
                needed = archiving.following([_bare(part) for part in parts], first=min(firsts[name]))
                await shelf.drop(name, [part for part in parts if _bare(part) not in needed])
            elif spool is None or spool.name != name:
                await shelf.drop(name, parts)

    async def _carry(self, app: str, resource: Document, spool: Path) -> int:
        """Answers how many parts."""
        count = 0
        while some := (await threads.run(_waiting, spool))[:_TOGETHER]:
            shelf = await self._shelf(app, resource)
            with tempfile.TemporaryDirectory() as name:
                await threads.run(_pack, spool, some, Path(name))
                await shelf.add(spool.name, Path(name))
            await threads.run(_clear, spool, some)
            count += len(some)
        return count

    async def _files(self, shelf: Shelf, resource: Document, known: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The files of the parts that follow, and the parts that are missing among them."""
        archiving = archiving_of(resource)
        if archiving is None:
            return [], []
        files, first = await shelf.parts(known["name"]), known["first"]
        there = {_bare(file) for file in files}
        needed = set(archiving.following(there, first=first))
        return [file for file in files if _bare(file) in needed], archiving.missing(there, first=first)


def archiving_of(resource: Document) -> Archiving | None:
    """What plays the resource, where it is ours and leaves a log."""
    if resource.body.get("url") or resource.body["type"] in TYPES:
        return None
    played = backend(resource)
    return played if isinstance(played, Archiving) else None


def _waiting(spool: Path) -> list[str]:
    """Closed parts, in order. What else the server leaves (histories, labels) nothing needs, since a log has one timeline."""
    try:
        names = sorted(file.name for file in spool.iterdir() if not file.name.startswith("."))
    except FileNotFoundError:
        return []
    for name in names:
        if not _PART.fullmatch(name):
            (spool / name).unlink(missing_ok=True)
    return [name for name in names if _PART.fullmatch(name)]


def _pack(spool: Path, parts: Sequence[str], into: Path) -> None:
    """The spool belongs to the server's user: what is no plain file of its own is not read by us, who may read everything."""
    for part in parts:
        number = os.open(spool / part, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(number, "rb") as source:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise Failed(say("{file} is not a file", file=spool / part))
            packed = into / part
            with packed.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            packed.rename(into / _called(part, packed))


def _clear(spool: Path, parts: Sequence[str]) -> None:
    for part in parts:
        (spool / part).unlink(missing_ok=True)


def _damaged(folder: Path, files: Sequence[str]) -> list[str]:
    """The parts of those that are not what their name says. The packing's own checksum is of what it unpacks to, and a byte of it may
    change without that."""
    return [
        _bare(file) for file in files if not (folder / file).is_file() or _called(_bare(file), folder / file) != file
    ]


def _called(part: str, file: Path) -> str:
    """By its digest, so that two that differ never take each other's place."""
    return f"{part}-{archives.digest(file)[:32]}.gz"


def _rename(folder: Path) -> None:
    for file in folder.iterdir():
        file.rename(folder / f"{_bare(file.name)}.gz")


def _broken(about: Mapping[str, Any], *, missing: Sequence[str], damaged: Sequence[str]) -> Failed:
    wrong = [say("missing: {parts}", parts=_some(missing))] if missing else []
    wrong += [say("damaged: {parts}", parts=_some(damaged))] if damaged else []
    return Failed(
        say("the log after the backup {name} is broken: {what}", name=about["name"], what="; ".join(wrong)),
        hint=say("moments before that can be gone back to; `aic backup now` begins anew"),
    )


def _some(parts: Sequence[str]) -> str:
    return ", ".join(parts[:10]) + (" …" if len(parts) > 10 else "")


def _batches(parts: Sequence[str]) -> list[Sequence[str]]:
    return [parts[at : at + _TOGETHER] for at in range(0, len(parts), _TOGETHER)]


def _bare(file: str) -> str:
    """The part that the file has."""
    return file.partition("-")[0]
