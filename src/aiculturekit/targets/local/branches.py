"""Copies of a resource with a server of their own, for a test or a try: they live until they are closed, or the daemon ends."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from aiculturekit import threads
from aiculturekit.errors import NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import places
from aiculturekit.resources.servers import Credential, Ground
from aiculturekit.targets.local import data, scratches
from aiculturekit.targets.local.snapshots import Snapshots
from aiculturekit.targets.local.stores import Stores, backend, contained


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """`url` opens it, with the verb `admin`; `seconds` is how long it took to make."""

    id: str
    app: str
    resource: str
    url: str = dataclasses.field(repr=False)
    created_at: float
    seconds: float


class Branches:
    """Those that are open."""

    def __init__(self, *, home: Path, node: str, snapshots: Snapshots, stores: Stores) -> None:
        self._home, self._node = home, node
        self._snapshots, self._stores = snapshots, stores
        self._open: dict[str, tuple[Branch, contextlib.AsyncExitStack]] = {}

    def of(self, app: str) -> list[Branch]:
        """Oldest first."""
        return [branch for branch, _ in self._open.values() if branch.app == app]

    async def open(self, app: str, name: str, *, documents: Sequence[Document]) -> Branch:
        """The data as it is now, in a server of its own. Raises NotFound, Failed."""
        started, identifier = time.monotonic(), secrets.token_hex(4)
        if not self.of(app):
            await threads.run(self._sweep, app)
        resource = next((d for d in documents if d.key == ("resource", name)), None)
        if resource is None or resource.body.get("url"):
            raise NotFound(
                say("{app} has no data of its own in {name}", app=app, name=repr(name[:60])),
                hint=say("`aic resources` lists them"),
            )
        folder = self._snapshots.folder(app, f".branch-{identifier}")
        server = next((d for d in documents if d.key == ("server", name)), None)
        if server and contained(server):
            raise Refused(
                say("{name} runs in a container, which has no branches", name=name),
                hint=say("save its data with `aic snapshot save`, and start a copy: `aic up --from NAME`"),
            )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(threads.run, shutil.rmtree, folder, ignore_errors=True)
            await threads.run(folder.mkdir, parents=True)
            with self._snapshots.still(app, server):
                await self._snapshots.copy(app, resource, documents, folder / name)
            url = (
                await self._served(app, server, folder / name, stack)
                if server
                else data.url_in(folder / name, resource)
            )
            branch = Branch(identifier, app, name, url, time.time(), time.monotonic() - started)
            self._open[identifier] = branch, stack.pop_all()
        return branch

    async def close(self, app: str, identifier: str) -> Branch:
        """Its server and its data are gone. Raises NotFound."""
        found = self._open.get(identifier)
        if found is None or found[0].app != app:
            raise NotFound(say("there is no branch {id}", id=repr(identifier[:20])))
        del self._open[identifier]
        await found[1].aclose()
        return found[0]

    async def close_all(self) -> None:
        for branch, _ in list(self._open.values()):
            await self.close(branch.app, branch.id)

    def _sweep(self, app: str) -> None:
        """What a daemon left that was killed; its servers were ended when the next one began."""
        for left in self._snapshots.folder(app).glob(".branch-*"):
            shutil.rmtree(left, ignore_errors=True)

    async def _served(self, app: str, server: Document, folder: Path, stack: contextlib.AsyncExitStack) -> str:
        real = await self._stores.ground(app, server)
        sockets = await threads.run(places.sockets, self._home, app, folder.parent.name, uid=real.uid)
        stack.push_async_callback(threads.run, shutil.rmtree, sockets, ignore_errors=True)
        ground = Ground(app, server.name, server.body, folder, sockets, real.programs, real.uid, is_scratch=True)
        played = backend(server)
        port = await stack.enter_async_context(scratches.running(played, ground, node=self._node))
        credential = Credential("branch", "admin", "branch", secrets.token_urlsafe(18))
        await played.settle(ground, [credential])
        return played.url(ground, credential, host="127.0.0.1", port=port)
