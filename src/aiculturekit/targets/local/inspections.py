"""Looking into the resources of this machine: which inspector, where its server is, and whether it runs at all."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from aiculturekit import threads
from aiculturekit.engine import host
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key, Status
from aiculturekit.errors import AicError, Failed, Refused
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.plan.documents import Document
from aiculturekit.resources import places
from aiculturekit.resources.inspections.shapes import (
    Asking,
    Equipped,
    Glancing,
    Inspection,
    Inspector,
    Listing,
    Program,
    Row,
    Table,
)
from aiculturekit.resources.kinds import INSPECTORS
from aiculturekit.resources.servers import Credential
from aiculturekit.targets import nodes
from aiculturekit.targets.local import data
from aiculturekit.targets.local.stores import Stores, backend

T = TypeVar("T")


class Inspections:
    """Every method takes a "server" document that is in force, unless it is about a resource."""

    def __init__(self, *, home: Path, engine: Engine, stores: Stores) -> None:
        self._home, self._engine, self._stores = home, engine, stores

    def is_there(self, app: str, document: Document) -> bool:
        """Whether the data of a resource is."""
        return data.is_there(self._home, app, document)

    def file_url(self, app: str, document: Document) -> str:
        """Of a resource that is a file."""
        return data.url(self._home, app, document)

    async def size(self, app: str, document: Document) -> int:
        """Bytes of all files of a resource."""
        return await threads.run(data.size, self._home, app, document)

    async def shortage(self, app: str, document: Document) -> str:
        """What to say where there is no room for the data of a resource of ours; "" where there is."""
        if document.body.get("url") or not self.is_there(app, document):
            return ""
        return await threads.run(host.shortage, places.folder(self._home, app, document.name))

    def status(self, app: str, name: str) -> Status | None:
        return self._engine.status(Key(app, name, nodes.SERVER_VERSION))

    def version(self, document: Document) -> str:
        """Of the tool that plays it, whether it runs or not."""
        tool = backend(document).tool(document.body)
        return tool.version if tool else str(document.body.get("version") or "")

    def url(self, app: str, document: Document, *, port: int) -> str:
        """Where it listens, with nobody's credential."""
        nobody = Credential("", "read", "nobody", "hidden")
        text = backend(document).url(self._stores.place(app, document), nobody, host="127.0.0.1", port=port)
        return str(Locator.parse(text))

    async def inspect(self, app: str, document: Document) -> Inspection:
        """Raises Failed, NotFound."""
        inspector: Inspector = _inspector(document)
        return await _told(inspector.inspect(await self._ground(app, document)))

    async def glance(self, app: str, document: Document) -> Inspection:
        """The same for who asks every few seconds: what takes long may be a minute old."""
        inspector: Inspector = _inspector(document)
        ground = await self._ground(app, document)
        return await _told(inspector.glance(ground) if isinstance(inspector, Glancing) else inspector.inspect(ground))

    async def ask(
        self, app: str, document: Document, statement: str, *, database: str, rows: int, seconds: float
    ) -> Table:
        """Raises Mistake with the server's words, Failed, Refused."""
        inspector: Asking = _inspector(document, Asking)
        ground = await self._ground(app, document)
        known = inspector.databases(ground)
        if database and database not in known:
            raise Refused(
                say("there is no database {name}", name=database), hint=say("there are {known}", known=", ".join(known))
            )
        chosen = database or known[0]
        return await _told(inspector.ask(ground, statement, database=chosen, rows=rows, seconds=seconds))

    async def databases(self, app: str, document: Document) -> list[str]:
        inspector: Asking = _inspector(document, Asking)
        return inspector.databases(await self._ground(app, document))

    async def listed(
        self, app: str, document: Document, what: str, *, within: str, search: str, limit: int
    ) -> list[Row]:
        inspector: Listing = _inspector(document, Listing)
        ground = await self._ground(app, document)
        return await _told(inspector.listed(ground, what, within=within, search=search, limit=limit))

    async def opened(self, app: str, document: Document, what: str, *, within: str, name: str) -> Row:
        inspector: Listing = _inspector(document, Listing)
        ground = await self._ground(app, document)
        return await _told(inspector.opened(ground, what, within=within, name=name))

    async def programs(self, app: str, document: Document, *, database: str) -> dict[str, Program]:
        inspector: Equipped = _inspector(document, Equipped)
        ground = await self._ground(app, document)
        return {str(verb): program for verb, program in inspector.programs(ground, database=database).items()}

    async def _ground(self, app: str, document: Document) -> Any:
        if not self._stores.is_running(app, document.name):
            raise Failed(
                say("{name} does not run", name=document.name), hint=say("`aic ps` shows how it is; `aic up` starts it")
            )
        return await self._stores.ground(app, document)


def abilities(document: Document) -> list[str]:
    """What can be done with a running server of this type: inspect, ask, list, open a shell."""
    if document.body["type"] not in INSPECTORS.schemes:
        return []
    made = INSPECTORS.load(Locator(document.body["type"]))()
    found = {"ask": Asking, "list": Listing, "shell": Equipped}
    return ["inspect", *(name for name, kind in found.items() if isinstance(made, kind))]


def up_figure(document: Document) -> str:
    """The metric that says whether it could be looked into; "" where it cannot."""
    if document.body["type"] not in INSPECTORS.schemes:
        return ""
    name: str = INSPECTORS.load(Locator(document.body["type"])).up
    return name


def _inspector(document: Document, kind: Any = None) -> Any:
    """One that can do what `kind` says. Raises Refused where the type cannot."""
    name = document.body["type"]
    made = INSPECTORS.load(Locator(name))() if name in INSPECTORS.schemes else None
    if made is None or (kind is not None and not isinstance(made, kind)):
        raise Refused(say("{name} is of type {type}, which cannot do that", name=document.name, type=name))
    return made


async def _told(work: Awaitable[T]) -> T:
    """Whatever goes wrong on the way to a server is said as such. Raises AicError."""
    try:
        return await work
    except AicError:
        raise
    except (OSError, EOFError) as error:
        raise Failed(
            say("the server does not answer: {error}", error=str(error)), hint=say("`aic ps` shows how it is")
        ) from error
