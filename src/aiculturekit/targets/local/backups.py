"""Backups of single resources: copied while the server runs, packed, started once to prove that they can be, and put away."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import archives, copies, places, shelves, tools
from aiculturekit.resources.servers import Counting, Ground, Saving
from aiculturekit.resources.shelves import ABOUT, Shelf
from aiculturekit.targets.local import scratches
from aiculturekit.targets.local.snapshots import Snapshots
from aiculturekit.targets.local.stores import Stores, backend

Tell = Callable[[str, str], None]
Json = dict[str, Any]


class Backups:
    """Of one home. A resource that declares no place is kept in the home's own."""

    def __init__(self, *, home: Path, node: str, snapshots: Snapshots, stores: Stores) -> None:
        self._home, self._node, self._snapshots, self._stores = home, node, snapshots, stores
        self._uid = places.server_uid()

    async def make(self, app: str, name: str, *, documents: Sequence[Document], release: int, tell: Tell) -> Json:
        """One now, and away with those that are more than are kept. Raises NotFound, Refused, Failed."""
        resource, server = _found(documents, name)
        moment = time.time()
        label = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
        tell(name, say("saving"))
        copy = await self._snapshots.save(
            app,
            f"backup-{name}-{label.lower()}",
            documents=_alone(resource, server),
            release=release,
            tell=lambda *_: None,
            is_still=server is None or not isinstance(backend(server), Saving),
        )
        folder = self._snapshots.folder(app, copy.name)
        away = folder / label
        try:
            await threads.run(away.mkdir)
            digest = await threads.run(archives.pack, folder / name, away / archives.NAME)
            tell(name, say("proving that it can be started"))
            about = {
                "name": label,
                "app": app,
                "resource": name,
                "type": resource.body["type"],
                "created_at": datetime.fromtimestamp(moment, UTC).isoformat(),
                "bytes": (away / archives.NAME).stat().st_size,
                "digest": digest,
                "contents": await self._contents(app, server, folder / name),
            }
            await threads.run((away / ABOUT).write_text, json.dumps(about))
            shelf = await self._shelf(app, resource)
            await shelf.put(away)
            await _thin(shelf, keep=(resource.body.get("backup") or {}).get("keep", 7))
        finally:
            await threads.run(self._snapshots.remove, app, copy.name)
        return about

    async def listed(self, app: str, name: str, *, documents: Sequence[Document]) -> list[Json]:
        """Newest first. Raises NotFound."""
        resource, _ = _found(documents, name)
        return await (await self._shelf(app, resource)).listed()

    async def verify(self, app: str, name: str, backup: str, *, documents: Sequence[Document], tell: Tell) -> Json:
        """Restored into a server of its own, everything that it holds is what was counted when it was made. Raises Failed with what is
        not."""
        resource, server = _found(documents, name)
        folder = self._snapshots.folder(app, f".verify-{name}")
        await threads.run(shutil.rmtree, folder, ignore_errors=True)
        try:
            about = await self._fetch(app, resource, backup, folder)
            tell(name, say("starting it"))
            _compare(about, await self._contents(app, server, folder / name))
        finally:
            await threads.run(shutil.rmtree, folder, ignore_errors=True)
        return about

    async def unpack(self, app: str, name: str, backup: str, *, documents: Sequence[Document]) -> str:
        """The backup as a snapshot, from which the data can be restored; answers its name. Raises NotFound, Failed."""
        resource, _ = _found(documents, name)
        label = f"backup-{name}-{backup.lower()}"
        folder = self._snapshots.folder(app, f".{label}.new")
        await threads.run(shutil.rmtree, folder, ignore_errors=True)
        await self._fetch(app, resource, backup, folder)
        await threads.run(self._snapshots.adopt, app, label, folder, [resource])
        return label

    async def _fetch(self, app: str, resource: Document, backup: str, folder: Path) -> Json:
        """The archive, found whole and unpacked in `folder`/NAME. Raises NotFound, Failed."""
        away = folder / "archive"
        await threads.run(away.mkdir, parents=True)
        await (await self._shelf(app, resource)).get(backup, away)
        about: Json = json.loads((away / ABOUT).read_text())
        archive = away / archives.NAME
        if not archive.is_file() or await threads.run(archives.digest, archive) != about["digest"]:
            raise Failed(
                say("the backup {name} is damaged: its archive is not what was written", name=backup),
                hint=say("use another one: `aic backup list`"),
            )
        await threads.run(archives.unpack, archive, folder / resource.name)
        await threads.run(shutil.rmtree, away)
        return about

    async def _contents(self, app: str, server: Document | None, folder: Path) -> Json:
        """What can be counted: rows by table where a server knows them, else files by their digests."""
        played = backend(server) if server else None
        if server is None or not isinstance(played, Counting):
            return await threads.run(copies.digests, folder)
        real = await self._stores.ground(app, server)
        sockets = await threads.run(places.sockets, self._home, app, f"{server.name}.scratch", uid=self._uid)
        ground = Ground(app, server.name, server.body, folder, sockets, real.programs, self._uid, is_scratch=True)
        async with scratches.running(played, ground, node=self._node):
            return await played.contents(ground)

    async def _shelf(self, app: str, resource: Document) -> Shelf:
        url = (resource.body.get("backup") or {}).get("to") or ""
        program = Path()
        if url.startswith("s3:"):
            program = await tools.ensure(
                shelves.RCLONE, cache=places.cache(None), is_reachable=lambda _: True, progress=lambda _: None
            )
        return shelves.opened(
            url, usual=self._home / "backups" / app / resource.name, program=lambda: program / "rclone"
        )


def _found(documents: Sequence[Document], name: str) -> tuple[Document, Document | None]:
    held = {document.key: document for document in documents}
    resource = held.get(("resource", name))
    if resource is None:
        raise NotFound(say("there is no resource {name}", name=repr(name[:60])), hint=say("`aic resources` lists them"))
    if resource.body.get("url"):
        raise Refused(say("{name} is a server of yours: back it up where it runs", name=name))
    return resource, held.get(("server", name))


def _alone(resource: Document, server: Document | None) -> list[Document]:
    return [resource, *([server] if server else [])]


async def _thin(shelf: Shelf, *, keep: int) -> None:
    for about in (await shelf.listed())[keep:]:
        await shelf.remove(about["name"])


def _compare(about: Json, now: Json) -> None:
    then = about["contents"]
    wrong = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if wrong:
        raise Failed(
            say("the backup {name} is damaged: {what} differ", name=about["name"], what=", ".join(wrong[:10])),
            hint=say("use another one: `aic backup list`"),
        )
