"""Credentials for a while: for a person with a tool of their own. Each ends when its time is over, when it is given back, or with the
daemon; the next daemon ends those that the last one left behind."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from aiculturekit.control import times
from aiculturekit.errors import AicError, Failed, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources.servers import Credential, Verb
from aiculturekit.state import settings
from aiculturekit.state.databases import Database
from aiculturekit.targets.local import Local
from aiculturekit.targets.local.stores import Stores, backend

log = logging.getLogger(__name__)
LONGEST = 24 * 3600.0
_KEPT = "guests"


class Guests:
    def __init__(self, *, database: Database, target: Local, stores: Stores) -> None:
        self._database, self._target, self._stores = database, target, stores
        self._open: dict[str, tuple[str, Document, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """End what a daemon before left: settling a server again leaves only who may."""
        left = await self._database.run(settings.get, _KEPT)
        for app in json.loads(left) if left else ():
            try:
                await self._stores.admit(app, self._target.in_force(app))
            except AicError as error:
                log.warning("guests of %s: %s", app, error.message)
        if left:
            await self._note()

    async def lend(self, app: str, name: str, *, verb: Verb, seconds: float, port: int) -> dict[str, Any]:
        """The one answer that has a password in it: a URL for `port` of this machine, which leads to `server_port` of the process `pid`.
        Raises NotFound, Mistake, Failed."""
        server = self._server(app, name)
        status = self._stores.status(app, name)
        live = [one for one in status.instances if one.pid and one.port] if status else []
        if not live:
            raise Failed(
                say("{name} does not run", name=name), hint=say("`aic ps` shows how it is; `aic up` starts it")
            )
        await self._database.run(settings.put, _KEPT, value=json.dumps(sorted({app, *self._apps()})))
        guest = await self._stores.lend(app, server, self._target.in_force(app), verb=verb)
        over = asyncio.get_running_loop().call_later(seconds, self._end_soon, guest.user)
        self._open[guest.user] = (app, server, over)
        return {
            "id": guest.user,
            "url": self._url(app, server, guest, port),
            "verb": verb,
            "until": times.iso(time.time() + seconds),
            "pid": live[0].pid,
            "server_port": live[0].port,
        }

    async def give_back(self, app: str, name: str, user: str) -> dict[str, Any]:
        """Raises NotFound where it ended already."""
        if user not in self._open or self._open[user][0] != app or self._open[user][1].name != name:
            raise NotFound(say("there is no guest {user}", user=user))
        await self._end(user)
        return {"id": user}

    def _end_soon(self, user: str) -> None:
        task = asyncio.get_running_loop().create_task(self._end(user))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, user: str) -> None:
        app, server, over = self._open.pop(user)
        over.cancel()
        try:
            await self._stores.take_back(app, server, self._target.in_force(app), user=user)
        except AicError as error:
            log.warning("the guest %s of %s: %s", user, app, error.message)
        await self._note()

    async def _note(self) -> None:
        await self._database.run(settings.put, _KEPT, value=json.dumps(sorted(self._apps())))

    def _apps(self) -> set[str]:
        return {app for app, _, _ in self._open.values()}

    def _url(self, app: str, server: Document, guest: Credential, port: int) -> str:
        return backend(server).url(self._stores.place(app, server), guest, host="127.0.0.1", port=port)

    def _server(self, app: str, name: str) -> Document:
        found = {document.key: document for document in self._target.in_force(app)}
        if ("resource", name) not in found:
            raise NotFound(
                say("{app} has no resource {name}", app=app, name=name), hint=say("`aic resources` lists them")
            )
        if ("server", name) not in found:
            raise Mistake(
                say("no server of ours plays {name}", name=name), hint=say("look into it with a tool of its own")
            )
        return found["server", name]
