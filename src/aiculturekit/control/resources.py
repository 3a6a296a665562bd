"""The databases, caches and stores of the applications: what there is, how it is, and what is in it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiculturekit.control import phrases
from aiculturekit.errors import AicError, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources.inspections.shapes import Inspection, Table
from aiculturekit.resources.kinds import KINDS
from aiculturekit.targets.local import Local, data
from aiculturekit.targets.local.inspections import Inspections, abilities, up_figure

ROWS, SECONDS = 200, 5.0
"""What a question gets unless it says less or more; at most MOST_ROWS and MOST_SECONDS."""
MOST_ROWS, MOST_SECONDS = 1000, 30.0
_PATIENCE = 3.0
_FILES = {"sqlite": "SQLite", "volume": "volume"}
_EXTERNAL = "external"


class Resources:
    """Reads only. `url` masks what is secret in a URL."""

    def __init__(self, *, target: Local, looks: Inspections, url: Callable[[str], str]) -> None:
        self._target, self._looks, self._url = target, looks, url

    async def listed(self, app: str | None = None) -> list[dict[str, Any]]:
        """One row for each resource of the applications that have data here, by application and name."""
        apps = self._target.apps() if app is None else [app]
        pairs = [(one, document) for one in sorted(apps) for document in self._documents(one)]
        return list(await asyncio.gather(*(self._row(one, document) for one, document in pairs)))

    async def detail(self, app: str, name: str) -> dict[str, Any]:
        """The row, and what the server says of itself. `trouble` is why it says nothing."""
        document = self._find(app, name)
        server = self._server(app, name)
        about: dict[str, Any] = {"needed_by": self._needed_by(app, name), "databases": [], "trouble": "", **_blank()}
        if server is None:
            row = await self._row(app, document)
            return row | about | {"abilities": []}
        can = abilities(server)
        row = await self._row(app, document)
        inspection = await self._inspected(app, server, can)
        about |= _shown(inspection) if isinstance(inspection, Inspection) else {"trouble": inspection}
        if "ask" in can and isinstance(inspection, Inspection):
            about["databases"] = await self._looks.databases(app, server)
        return row | about | {"abilities": can}

    async def ask(
        self, app: str, name: str, *, statement: str, database: str, rows: int = ROWS, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """What a single statement answers that may only read. Raises Mistake, Failed, Refused, NotFound."""
        if not statement.strip():
            raise Mistake(say("there is no statement"), hint=say("write one: SELECT 1"))
        found = await self._looks.ask(
            app, self._played(app, name), statement, database=database, rows=rows, seconds=seconds
        )
        return _table(found)

    async def items(
        self, app: str, name: str, *, what: str, within: str, search: str, limit: int
    ) -> list[dict[str, Any]]:
        """What is in one of its sections: keys, objects, messages."""
        server = self._played(app, name)
        return [
            dict(row) for row in await self._looks.listed(app, server, what, within=within, search=search, limit=limit)
        ]

    async def item(self, app: str, name: str, *, what: str, within: str, key: str) -> dict[str, Any]:
        return dict(await self._looks.opened(app, self._played(app, name), what, within=within, name=key))

    async def programs(self, app: str, name: str, *, database: str) -> dict[str, Any]:
        """What to run by hand, as the administrator: shell, dump, load; those that the type has."""
        server = self._played(app, name)
        if database and database not in (known := await self._looks.databases(app, server)):
            raise Mistake(
                say("there is no database {name}", name=database), hint=say("there are {known}", known=", ".join(known))
            )
        found = await self._looks.programs(app, server, database=database)
        return {verb: dataclasses.asdict(program) for verb, program in found.items()}

    async def figures(self) -> list[dict[str, Any]]:
        """The key figures of every server, with the labels app and resource; whether it answers comes first."""
        servers = [(app, d) for app in self._target.apps() for d in self._target.in_force(app) if d.kind == "server"]
        listed = await asyncio.gather(*(self._figures(app, document) for app, document in servers))
        return [figure for figures in listed for figure in figures]

    async def _figures(self, app: str, server: Document) -> list[dict[str, Any]]:
        name = up_figure(server)
        if not name:
            return []
        labels = {"app": app, "resource": server.name}
        found = await self._said(self._looks.glance(app, server))
        is_up = isinstance(found, Inspection)
        up = {"name": name, "kind": "gauge", "text": "Whether the server could be asked.", "value": int(is_up)}
        rows = [dataclasses.asdict(figure) for figure in found.figures] if isinstance(found, Inspection) else []
        return [row | {"labels": labels | row.get("labels", {})} for row in (up, *rows)]

    async def _row(self, app: str, document: Document) -> dict[str, Any]:
        server = self._server(app, document.name)
        status = self._looks.status(app, document.name)
        live = [one for one in status.instances if one.pid is not None] if status else []
        memory = [one.memory_bytes for one in live if one.memory_bytes is not None]
        kind = document.body["type"]
        return {
            "app": app,
            "name": document.name,
            "type": kind,
            "title": KINDS[kind].title if kind in KINDS else _FILES.get(kind, kind),
            "version": self._looks.version(server) if server else str(document.body.get("version") or ""),
            "state": self._state(app, document, status.state if status else ""),
            "reason": await self._looks.shortage(app, document)
            or next((one.reason for one in live if one.reason and one.state != "ready"), ""),
            "embedded": document.body.get("url") is None,
            "protected": bool(document.body.get("protected")),
            "url": self._address(app, document, server, live[0].port if live else None),
            "size_bytes": None if document.body.get("url") else await self._looks.size(app, document),
            "memory_bytes": sum(memory) if memory else None,
            "restarts": sum(one.restarts for one in status.instances) if status else 0,
            "rules": phrases.rules(self._traffic(app, document.name)),
            "faults": phrases.faults(self._traffic(app, document.name)),
        }

    def _state(self, app: str, document: Document, state: str) -> str:
        if document.body.get("url"):
            return _EXTERNAL
        if document.body["type"] in data.TYPES:
            return "ready" if self._looks.is_there(app, document) else "failed"
        return state or "down"

    def _address(self, app: str, document: Document, server: Document | None, port: int | None) -> str | None:
        if document.body.get("url"):
            return self._url(str(document.body["url"]))
        if document.body["type"] in data.TYPES:
            return self._looks.file_url(app, document)
        return self._looks.url(app, server, port=port) if server and port else None

    async def _inspected(self, app: str, server: Document, can: Sequence[str]) -> Inspection | str:
        return await self._said(self._looks.inspect(app, server)) if "inspect" in can else ""

    async def _said(self, looking: Awaitable[Inspection]) -> Inspection | str:
        """What it says, or why it says nothing."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await looking
        except AicError as error:
            return error.message
        except TimeoutError:
            return say("the server did not answer within {seconds:g} s", seconds=_PATIENCE)

    def _documents(self, app: str) -> list[Document]:
        return [document for document in self._target.in_force(app) if document.kind == "resource"]

    def _find(self, app: str, name: str) -> Document:
        listed = self._documents(app)
        for document in listed:
            if document.name == name:
                return document
        known = ", ".join(document.name for document in listed)
        raise NotFound(
            say("{app} has no resource {name}", app=app, name=name),
            hint=say("there are {known}", known=known) if known else say("`aic resources` lists them"),
        )

    def _server(self, app: str, name: str) -> Document | None:
        listed = self._target.in_force(app)
        return next((document for document in listed if document.key == ("server", name)), None)

    def _traffic(self, app: str, name: str) -> Mapping[str, Any]:
        """What holds on the way to it."""
        listed = self._target.in_force(app)
        found: Mapping[str, Any] = next((one.body["traffic"] for one in listed if one.key == ("traffic", name)), {})
        return found

    def _played(self, app: str, name: str) -> Document:
        """Its server. Raises NotFound, or Mistake where there is none of ours."""
        document, server = self._find(app, name), self._server(app, name)
        if server is not None:
            return server
        if document.body.get("url") or document.body["type"] in data.TYPES:
            raise Mistake(
                say("no server of ours plays {name}", name=name), hint=say("look into it with a tool of its own")
            )
        raise NotFound(say("{name} does not run", name=name), hint=say("`aic up` starts it"))

    def _needed_by(self, app: str, name: str) -> list[dict[str, str]]:
        needs = (
            (document.name.partition("/")[0], need["verb"])
            for document in self._target.in_force(app)
            if document.kind in ("workload", "job")
            for need in document.body["needs"]
            if (need["kind"], need["name"]) == ("resources", name)
        )
        return [{"workload": workload, "verb": verb} for workload, verb in dict.fromkeys(needs)]


def _blank() -> dict[str, Any]:
    return {"engine": "", "uptime": None, "data_bytes": None, "hit_ratio": None, "clients": [], "sections": {}}


def _shown(inspection: Inspection) -> dict[str, Any]:
    found: dict[str, Any] = {
        "engine": inspection.version,
        "uptime": inspection.uptime,
        "data_bytes": inspection.size_bytes,
        "hit_ratio": inspection.hit_ratio,
        "clients": _by_workload(inspection.clients),
        "sections": {name: [dict(row) for row in rows] for name, rows in inspection.sections.items()},
    }
    return found if inspection.memory_bytes is None else found | {"memory_bytes": inspection.memory_bytes}


def _by_workload(clients: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A workload's users are numbered (`orders`, `orders~2`): what counts is who it is."""
    return [dict(row) | {"workload": str(row["user"] or "").partition("~")[0]} for row in clients]


def _table(table: Table) -> dict[str, Any]:
    return {
        "columns": [dataclasses.asdict(column) for column in table.columns],
        "rows": [list(row) for row in table.rows],
        "is_cut": table.is_cut,
        "note": table.note,
    }
