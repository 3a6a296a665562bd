"""Backups of single resources: copied while the server runs, packed, started once to prove that they can be, and put away."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import AicError, Failed, Mistake, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import archives, copies, places, shelves, tools
from aiculturekit.resources.servers import Counting, Ground
from aiculturekit.resources.shelves import ABOUT, Shelf
from aiculturekit.targets.local import scratches
from aiculturekit.targets.local.data import TYPES
from aiculturekit.targets.local.exchanges import Tell
from aiculturekit.targets.local.holdings import Snapshot
from aiculturekit.targets.local.shipments import Shipments, archiving_of
from aiculturekit.targets.local.snapshots import Snapshots
from aiculturekit.targets.local.stores import Stores, backend, contained

log = logging.getLogger(__name__)
Json = dict[str, Any]


class Backups:
    """Of one home. A resource that declares no place is kept in the home's own."""

    def __init__(self, *, home: Path, node: str, snapshots: Snapshots, stores: Stores) -> None:
        self._home, self._node, self._snapshots, self._stores = home, node, snapshots, stores
        self._uid = places.server_uid()
        self.shipments = Shipments(stores=stores, shelf=self._shelf)

    async def make(self, app: str, name: str, *, documents: Sequence[Document], tell: Tell) -> Json:
        """One now, and away with those that are more than are kept. Raises NotFound, Refused, Failed."""
        resource, server = _found(documents, name)
        moment = datetime.now(UTC)
        label = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"
        tell(name, say("saving"))
        async with self._snapshots.scratch(app, f"backup-{name}") as folder:
            with self._snapshots.still(app, server):
                await self._snapshots.copy(app, resource, documents, folder / name)
            trail = await self._log(app, resource, folder / name)
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
                "ended_at": time.time(),
                "log": trail,
                "bytes": (away / archives.NAME).stat().st_size,
                "digest": digest,
                "contents": await self._contents(app, server, folder / name),
            }
            await threads.run((away / ABOUT).write_text, json.dumps(about))
            shelf = await self._shelf(app, resource)
            await shelf.put(away)
        kept = await _thin(shelf, keep=(resource.body.get("backup") or {}).get("keep", 7))
        await self.shipments.thin(app, resource, kept=kept)
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
        if about.get("log"):
            tell(name, say("reading its log"))
            await self._catch_up(app, resource, server)
            about["parts"] = await self.shipments.check(app, resource, about)
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

    async def rewind(
        self, app: str, name: str, at: float, *, documents: Sequence[Document], release: int, tell: Tell
    ) -> Snapshot:
        """The data as it was at a moment (seconds since the epoch): the backup before it, and what the log says was done until then.
        Answers the snapshot that what was there has become. Raises NotFound, Refused, Mistake; Failed, with everything as it was."""
        resource, server = _found(documents, name)
        archiving = archiving_of(resource)
        if server is None or archiving is None:
            raise Refused(
                say("{name} has no log: only its backups can be gone back to", name=name),
                hint=say("PostgreSQL with `backup:` keeps one"),
            )
        if at > time.time():
            raise Mistake(say("{moment} is yet to come", moment=_moment(at)))
        tell(name, say("bringing the log up to date"))
        try:
            await self._catch_up(app, resource, server)
        except AicError as error:  # a server that is broken is no reason not to go back to before that
            tell(name, error.message)
        base = self._base(await self.listed(app, name, documents=documents), name, at)

        async def fill(folder: Path) -> None:
            tell(name, say("fetching {backup}", backup=base["name"]))
            await self._fetch(app, resource, base["name"], folder)
            tell(name, say("doing again what was done until {moment}", moment=_moment(at)))
            await self._follow(app, resource, server, base, folder=folder / name, at=at)

        aside = await self._snapshots.replace(
            app, [resource], fill=fill, documents=documents, release=release, tell=tell
        )
        try:
            await self.shipments.ship_rest(app, resource, folder=self._snapshots.folder(app, aside.name) / name)
        except (AicError, OSError) as error:
            log.warning("%s/%s: the last of its former log stays in %s: %s", app, name, aside.name, error)
        return aside

    async def log(self, app: str, resource: Document) -> str | None:
        """The name of the log that the running server writes; None where it writes none."""
        if not self._stores.is_running(app, resource.name):
            return None
        spool = await self.shipments.spool(app, resource)
        return spool.name if spool else None

    async def _log(self, app: str, resource: Document, copy: Path) -> Json | None:
        """The log that the copy can follow, and from where on."""
        archiving, name = archiving_of(resource), await self.log(app, resource)
        first = await threads.run(archiving.first, copy) if archiving else None
        return {"name": name, "first": first} if name and first else None

    async def _catch_up(self, app: str, resource: Document, server: Document | None) -> None:
        """Whatever was committed until now is on the shelf, where the server runs. Raises AicError."""
        archiving = archiving_of(resource)
        if server and archiving and await self.log(app, resource):
            await archiving.hand_over(await self._stores.ground(app, server))
        await self.shipments.ship(app, resource)

    async def _follow(
        self, app: str, resource: Document, server: Document, base: Json, *, folder: Path, at: float
    ) -> None:
        """The copy in `folder` becomes what the data was `at` that moment, in a server of its own. Raises Failed."""
        archiving = archiving_of(resource)
        if archiving is None:
            return
        ground, parts = archiving.rewinding(await self._scratch(app, server, folder, is_scratch=False), at=at)
        await self.shipments.take(app, resource, base, into=parts)
        await threads.run(copies.own, parts.parent, self._uid)
        try:
            async with scratches.running(archiving, ground, node=self._node):
                pass
        except Failed as error:
            await self.shipments.check(app, resource, base)
            raise Failed(
                say("the log does not lead to {moment}: {error}", moment=_moment(at), error=error.message),
                hint=say("choose an earlier moment: the log says when its last transaction was"),
            ) from error
        await threads.run(shutil.rmtree, parts.parent)
        await threads.run((folder / scratches.LOG).unlink, missing_ok=True)

    def _base(self, found: Sequence[Json], name: str, at: float) -> Json:
        """The newest that was complete at the moment and can follow a log."""
        able = [about for about in found if about.get("log")]
        if not able:
            raise NotFound(
                say("no backup of {name} can follow a log yet", name=name),
                hint=say("`aic backup now {name}`", name=name),
            )
        earliest = min(about["ended_at"] for about in able)
        if at < earliest:
            raise NotFound(
                say("nothing is known of {name} at {moment}", name=name, moment=_moment(at)),
                hint=say("the earliest moment is {moment}", moment=_moment(earliest)),
            )
        return max((about for about in able if about["ended_at"] <= at), key=lambda about: float(about["ended_at"]))

    async def _fetch(self, app: str, resource: Document, backup: str, folder: Path) -> Json:
        """The archive, found whole and unpacked in `folder`/NAME, belonging to who runs its server here. Raises NotFound, Failed."""
        away = folder / ".archive"
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
        if server is None or contained(server) or not isinstance(played, Counting):
            return await threads.run(copies.digests, folder)
        ground = await self._scratch(app, server, folder, is_scratch=True)
        async with scratches.running(played, ground, node=self._node):
            return await played.contents(ground)

    async def _scratch(self, app: str, server: Document, folder: Path, *, is_scratch: bool) -> Ground:
        real = await self._stores.ground(app, server)
        sockets = await threads.run(places.sockets, self._home, app, f"{server.name}.scratch", uid=self._uid)
        return Ground(app, server.name, server.body, folder, sockets, real.programs, self._uid, is_scratch=is_scratch)

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


async def _thin(shelf: Shelf, *, keep: int) -> list[Json]:
    """Those that are kept."""
    found = await shelf.listed()
    for about in found[keep:]:
        await shelf.remove(about["name"])
    return found[:keep]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _compare(about: Json, now: Json) -> None:
    then = about["contents"]
    wrong = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if wrong:
        raise Failed(
            say("the backup {name} is damaged: {what} differ", name=about["name"], what=", ".join(wrong[:10])),
            hint=say("use another one: `aic backup list`"),
        )
