"""Backups of single resources: copied while the server runs, packed, started once to prove that they can be, and put away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import archives, copies, places, shelves, tools
from aiculturekit.resources.servers import Counting, Ground
from aiculturekit.resources.shelves import ABOUT, Shelf
from aiculturekit.targets.local import scratches
from aiculturekit.targets.local.data import TYPES
from aiculturekit.targets.local.exchanges import Tell
from aiculturekit.targets.local.holdings import Snapshot
from aiculturekit.targets.local.snapshots import Snapshots
from aiculturekit.targets.local.stores import Stores, backend

Json = dict[str, Any]


class Backups:
    """Of one home. A resource that declares no place is kept in the home's own."""

    def __init__(self, *, home: Path, node: str, snapshots: Snapshots, stores: Stores) -> None:
        self._home, self._node, self._snapshots, self._stores = home, node, snapshots, stores
        self._uid = places.server_uid()

    async def make(self, app: str, name: str, *, documents: Sequence[Document], tell: Tell) -> Json:
        """One now, and away with those that are more than are kept. Raises NotFound, Refused, Failed."""
        resource, server = _found(documents, name)
        moment = datetime.now(UTC)
        label = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"
        tell(name, say("saving"))
        async with self._snapshots.scratch(app, f"backup-{name}") as folder:
            with self._snapshots.still(app, server):
                await self._snapshots.copy(app, resource, documents, folder / name)
            away = folder / label
            await threads.run(away.mkdir)
            digest = await threads.run(archives.pack, folder / name, away / archives.NAME)
            tell(name, say("proving that it can be started"))
            about = {
                "name": label,
                "app": app,
                "resource": name,
                "type": resource.body["type"],
                "created_at": moment.isoformat(),
                "bytes": (away / archives.NAME).stat().st_size,
                "digest": digest,
                "contents": await self._contents(app, server, folder / name),
            }
            await threads.run((away / ABOUT).write_text, json.dumps(about))
            shelf = await self._shelf(app, resource)
            await shelf.put(away)
        await _thin(shelf, keep=(resource.body.get("backup") or {}).get("keep", 7))
        return about

    async def listed(self, app: str, name: str, *, documents: Sequence[Document]) -> list[Json]:
        """Newest first. Raises NotFound."""
        resource, _ = _found(documents, name)
        return await (await self._shelf(app, resource)).listed()

    async def verify(self, app: str, name: str, backup: str, *, documents: Sequence[Document], tell: Tell) -> Json:
        """Restored into a server of its own, everything that it holds is what was counted when it was made. Raises Failed with what is
        not."""
        resource, server = _found(documents, name)
        async with self._snapshots.scratch(app, f"verify-{name}") as folder:
            about = await self._fetch(app, resource, backup, folder)
            tell(name, say("starting it"))
            _compare(about, await self._contents(app, server, folder / name))
        return about

    async def restore(
        self, app: str, name: str, backup: str, *, documents: Sequence[Document], release: int, tell: Tell
    ) -> Snapshot:
        """The data as it was; answers the snapshot that what was there has become. Raises NotFound; Failed, with everything as it was."""
        resource, _ = _found(documents, name)

        async def fill(folder: Path) -> None:
            tell(name, say("fetching {backup}", backup=backup))
            about = await self._fetch(app, resource, backup, folder)
            if about["type"] != resource.body["type"]:
                now, was = resource.body["type"], about["type"]
                raise Mistake(say("{name} is {now} now, and was {was} then", name=name, now=now, was=was))

        return await self._snapshots.replace(
            app, [resource], fill=fill, documents=documents, release=release, tell=tell
        )

    async def _fetch(self, app: str, resource: Document, backup: str, folder: Path) -> Json:
        """The archive, found whole and unpacked in `folder`/NAME, belonging to who runs its server here. Raises NotFound, Failed."""
        away = folder / "archive"
        await threads.run(away.mkdir, parents=True)
        await (await self._shelf(app, resource)).get(backup, away)
        about, archive = await threads.run(_described, away, backup), away / archives.NAME
        if not archive.is_file() or await threads.run(archives.digest, archive) != about["digest"]:
            raise Failed(
                say("the backup {name} is damaged: its archive is not what was written", name=backup),
                hint=say("use another one: `aic backup list`"),
            )
        await threads.run(archives.unpack, archive, folder / resource.name)
        if resource.body["type"] not in TYPES:
            await threads.run(copies.own, folder / resource.name, self._uid)
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
            url or (self._home / "backups").resolve().as_uri(),
            under=(app, resource.name),
            program=lambda: program / "rclone",
        )


def _found(documents: Sequence[Document], name: str) -> tuple[Document, Document | None]:
    held = {document.key: document for document in documents}
    resource = held.get(("resource", name))
    if resource is None:
        raise NotFound(say("there is no resource {name}", name=repr(name[:60])), hint=say("`aic resources` lists them"))
    if resource.body.get("url"):
        raise Refused(say("{name} is a server of yours: back it up where it runs", name=name))
    return resource, held.get(("server", name))


def _described(away: Path, backup: str) -> Json:
    """Raises Failed for what something else wrote."""
    try:
        about: Json = json.loads((away / ABOUT).read_text())
        return {**about, **{key: about[key] for key in ("type", "digest", "contents")}}
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(
            say("the backup {name} is damaged: it does not say what is in it", name=backup),
            hint=say("use another one: `aic backup list`"),
        ) from None


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
