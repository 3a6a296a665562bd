"""Resources that a server plays here: its tool, its data, its process, and the credentials that are valid in it.

Permissions widen early and narrow late, as in the mesh: a workload's credential is valid before its first process starts, and until
no document in force needs it any more.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from aiculturekit import threads
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key, Probe, Status, Workload
from aiculturekit.errors import HostTrouble
from aiculturekit.images.runnables import Runnable
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.plan import permissions
from aiculturekit.plan.documents import Document
from aiculturekit.resources import outputs, places, processes, tools
from aiculturekit.resources.kinds import BACKENDS
from aiculturekit.resources.servers import Contained, Credential, Ground, Launch, Server, Several, Verb
from aiculturekit.targets import nodes
from aiculturekit.targets.local import containers, data
from aiculturekit.targets.local.credentials import Credentials

Users = frozenset[tuple[str, Verb]]
Documents = Mapping[tuple[str, str], Document]
"""Those in force, by kind and name."""

GUEST = "guest"
"""The name of a workload that a person is for a while."""


class Stores:
    """`settled` remembers who may use each running server, so that nothing is asked twice; `turns` has a lock for each, since two that
    change a server's roles at once disturb each other."""

    def __init__(self, *, home: Path, engine: Engine, credentials: Credentials) -> None:
        self._home, self._engine, self._credentials = home, engine, credentials
        self._uid = places.server_uid()
        self._settled: dict[tuple[str, str], Users] = {}
        self._guests: defaultdict[tuple[str, str], list[Credential]] = defaultdict(list)
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self) -> None:
        await self._credentials.open()

    async def start(
        self, app: str, document: Document, *, needed: Users, release: int, tell: Callable[[str], None]
    ) -> None:
        """The server runs as the document says, for who stands in it and for who still needs it. Raises Failed, Mistake, Refused."""
        server = backend(document)
        ground = await self.ground(app, document, tell=tell)
        image: Runnable | None = None
        if reference := contained(document):
            image = await containers.served(reference, ground, home=self._home, tell=tell)
            ground = dataclasses.replace(ground, programs=image.root, said=image.variables)
        launch = await threads.run(server.prepare, ground)
        await self._engine.apply(_workload(app, document, ground, launch, release=release, image=image), progress=tell)
        if image:
            ground = await self.ground(app, document)
        await self._settle(server, ground, declared_users(document) | needed)

    async def stop(self, app: str, document: Document) -> None:
        """Its data stays."""
        await self._engine.remove(_key(app, document.name))
        self._settled.pop((app, document.name), None)

    async def forget(self, app: str, name: str) -> None:
        """Its data is gone, and what was valid in it."""
        await self._credentials.forget(app, name)

    async def admit(self, app: str, documents: Sequence[Document]) -> None:
        """Credentials as the documents in force need them; nothing happens where they are."""
        for document in documents:
            if document.kind == "server":
                await self._admit(app, document, declared_users(document) | needed_users(documents, document.name))

    async def _admit(self, app: str, document: Document, users: Users) -> None:
        if self._settled.get((app, document.name)) != users:
            server = backend(document)
            await self._settle(server, await self.ground(app, document), users)

    async def lend(self, app: str, document: Document, documents: Sequence[Document], *, verb: Verb) -> Credential:
        """One more credential in a running server, which no memory but ours has."""
        guest = Credential(GUEST, verb, f"{GUEST}~{secrets.token_hex(4)}", secrets.token_urlsafe(24))
        self._guests[app, document.name].append(guest)
        try:
            await self._settle_again(app, document, documents)
        except BaseException:
            self._guests[app, document.name].remove(guest)
            raise
        return guest

    async def take_back(self, app: str, document: Document, documents: Sequence[Document], *, user: str) -> None:
        kept = [guest for guest in self._guests[app, document.name] if guest.user != user]
        self._guests[app, document.name] = kept
        if self.is_running(app, document.name):
            await self._settle_again(app, document, documents)

    async def renew(self, app: str, document: Document, documents: Sequence[Document]) -> None:
        """Another credential for each who uses it, valid beside those that they have."""
        for workload, _ in sorted(declared_users(document) | needed_users(documents, document.name)):
            await self._credentials.add(app, document.name, workload)
        await self._settle_again(app, document, documents)

    async def retire(self, app: str, document: Document, documents: Sequence[Document]) -> None:
        """Only the newest credential of each stays valid."""
        users = declared_users(document) | needed_users(documents, document.name)
        await self._credentials.keep(app, document.name, {workload for workload, _ in users})
        await self._settle_again(app, document, documents)

    async def _settle_again(self, app: str, document: Document, documents: Sequence[Document]) -> None:
        users = declared_users(document) | needed_users(documents, document.name)
        await self._settle(backend(document), await self.ground(app, document), users)

    def urls(self, app: str, workload: Document, *, documents: Documents, ports: Mapping[str, int]) -> dict[str, str]:
        """Resource needed -> what the workload is given; a server is reached through the workload's own door."""
        name, user = workload.name.partition("/")[0], user_of(workload)
        found: dict[str, str] = {}
        for need in workload.body["needs"]:
            if need["kind"] == "resources":
                server = documents.get(("server", need["name"]))
                resource = documents["resource", need["name"]]
                found = (
                    self._urls(app, server, user, need["verb"], ports[nodes.outbound(app, name, need["name"])])
                    if server
                    else {need["name"]: resource.body.get("url") or data.url(self._home, app, resource)}
                ) | found
        return found

    def _urls(self, app: str, document: Document, workload: str, verb: Verb, port: int) -> dict[str, str]:
        """Empty texts while there is no credential: nobody was admitted yet."""
        credential = self._credentials.newest(app, document.name, workload, verb=verb)
        if credential is None:
            return {document.name: ""}
        ground, server = self.place(app, document), backend(document)
        further = (
            server.further_urls(ground, credential, host="127.0.0.1", port=port) if isinstance(server, Several) else {}
        )
        return {document.name: server.url(ground, credential, host="127.0.0.1", port=port)} | {
            f"{document.name}-{part}": url for part, url in further.items()
        }

    def outputs(
        self, app: str, workload: Document, *, documents: Documents, ports: Mapping[str, int]
    ) -> dict[str, dict[str, str]]:
        """Resource needed -> everything that it gives the workload, by name."""
        urls = self.urls(app, workload, documents=documents, ports=ports)
        found = {}
        for name in {need["name"] for need in workload.body["needs"] if need["kind"] == "resources"}:
            body = documents["resource", name].body
            found[name] = outputs.of(body["type"], urls[name], declared=body.get("outputs"))
        return found

    def place(self, app: str, document: Document) -> Ground:
        """As far as its URL needs it, which opens nothing."""
        folder = places.folder(self._home, app, document.name)
        return Ground(app, document.name, document.body, folder, Path(), Path(), self._uid)

    def status(self, app: str, name: str) -> Status | None:
        return self._engine.status(_key(app, name))

    def is_running(self, app: str, name: str) -> bool:
        status = self._engine.status(_key(app, name))
        return status is not None and status.ready > 0

    async def ground(self, app: str, document: Document, *, tell: Callable[[str], None] = lambda _: None) -> Ground:
        """Where the resource is on this machine, its tool installed. Raises BuildFailed, HostTrouble."""
        tool = backend(document).tool(document.body)
        programs = (
            await tools.ensure(
                tool,
                cache=places.cache(self._uid),
                is_reachable=lambda path: places.is_reachable(path, self._uid),
                progress=tell,
            )
            if tool
            else Path()
        )
        try:
            place = await threads.run(places.create, self._home, app, document.name, uid=self._uid)
            folder = await threads.run(place.resolve)  # who runs it may not be able to walk to the link
            sockets = await threads.run(places.sockets, self._home, app, document.name, uid=self._uid)
        except OSError as error:
            raise HostTrouble(say("resources/{name}: {error}", name=document.name, error=str(error))) from error
        cache = places.cache(self._uid)
        found = Ground(app, document.name, document.body, folder, sockets, programs, self._uid, cache=cache)
        return await threads.run(_seen, found, self.status(app, document.name))

    async def _settle(self, server: Server, ground: Ground, users: Users) -> None:
        async with self._turns[ground.app, ground.name]:
            valid = await self._credentials.ensure(ground.app, ground.name, users)
            await server.settle(ground, [*valid, *self._guests[ground.app, ground.name]])
            self._settled[ground.app, ground.name] = users


def contained(document: Document) -> str:
    """The image that its server comes as; "" for none. A layout's directory is relative to the application's file."""
    server = backend(document)
    text = server.image(document.body) if isinstance(server, Contained) else ""
    return containers.reference(text, document.body.get("directory", ""))


def _seen(ground: Ground, status: Status | None) -> Ground:
    """With what the engine alone knows of a server in a container that runs: its image, and the way in. Blocks."""
    container = status.workload.container if status else None
    if status is None or container is None:
        return ground
    for one in status.instances:
        if one.pid is not None and one.port is not None:
            processes.note(ground, pid=one.pid, port=one.port)
    return dataclasses.replace(ground, programs=container.root, said=status.workload.environment)


def backend(document: Document) -> Server:
    found: Server = BACKENDS.load(Locator(document.body["type"]))()
    return found


def declared_users(document: Document) -> Users:
    return frozenset((workload, verb) for workload, verb in document.body["users"])


def needed_users(documents: Iterable[Document], name: str) -> Users:
    """Who needs the resource, of all documents in force."""
    return frozenset(
        (user_of(document), need["verb"])
        for document in documents
        if document.kind in nodes.RUNNING
        for need in document.body["needs"]
        if (need["kind"], need["name"]) == ("resources", name)
    )


def user_of(document: Document) -> str:
    """Whose credential its processes get."""
    name = document.name.partition("/")[0]
    return permissions.migrating(name) if document.kind == "migration" else name


def _key(app: str, name: str) -> Key:
    return Key(app, name, nodes.SERVER_VERSION)


def _workload(
    app: str, document: Document, ground: Ground, launch: Launch, *, release: int, image: Runnable | None = None
) -> Workload:
    usual = image.variables if image else {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    return Workload(
        key=_key(app, document.name),
        command=launch.command,
        directory=launch.directory or ground.folder,
        revision=_revision(document.body, launch, image.digest if image else ""),
        environment={**usual, **launch.environment},
        kind="resource",
        readiness=Probe(**launch.probe),
        startup=launch.startup,
        grace=launch.grace,
        release=release,
        container=containers.server(ground, launch) if image else None,
    )


def _revision(body: Mapping[str, object], launch: Launch, image: str) -> str:
    """A digest of all that must restart the server: not who uses it."""
    kept = {key: value for key, value in body.items() if key != "users"}
    text = json.dumps(
        [kept, launch.command, sorted(launch.environment.items()), *([image] if image else ())], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]
