"""The pages about resources: what there is, and a page for each with what its type has to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request

from aiculturekit.console.answers import Answer
from aiculturekit.language import say

Json = dict[str, Any]
Page = Callable[[Request], Awaitable[tuple[str, Json]]]
HIT_RATIO_LOW = 0.9
_WARM = 600.0
"""Seconds after which a server's memory holds what it is asked for."""


class Resources(Protocol):
    """What the pages show; every method answers with the API's own shapes."""

    async def listed(self, app: str | None = None) -> list[Json]: ...

    async def detail(self, app: str, name: str) -> Json: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A table: `columns` are (key, heading, how it is shown: text, code, number, ms, amount or when). `find` is what a field above it
    asks for, where there is one; a row then opens."""

    name: str
    title: str
    columns: Sequence[tuple[str, str, str]]
    empty: str
    find: str = ""


class ResourcePages:
    """`app_of` raises NotFound for an application that nobody knows."""

    def __init__(self, resources: Resources, app_of: Callable[[str], Awaitable[Json]]) -> None:
        self._resources, self._app_of = resources, app_of

    def listed(self) -> list[tuple[str, Page]]:
        return [("/apps/{app}/resources", self.all), ("/apps/{app}/resources/{name}", self.one)]

    async def all(self, request: Request) -> tuple[str, Json]:
        app = await self._app_of(request.path_params["app"])
        rows = await self._resources.listed(app["app"])
        return "resources.html", {"app": app, "rows": rows, "answer": of_all(rows)}

    async def one(self, request: Request) -> tuple[str, Json]:
        app = await self._app_of(request.path_params["app"])
        view = await self._resources.detail(app["app"], request.path_params["name"])
        shown = [section for section in sections() if section.name in view["sections"]]
        connections = sum(row["count"] for row in view["clients"])
        values = {"view": view, "sections": shown, "connections": connections, "answer": of_one(view)}
        return "resource.html", {"app": app, **values}


def of_all(rows: Sequence[Mapping[str, Any]]) -> Answer:
    unwell = [row for row in rows if row["state"] not in ("ready", "external")]
    if not rows:
        return Answer("info", say("No resources"), say("Name one under `resources:` in the application file."))
    if unwell:
        row = unwell[0]
        link = f"/apps/{row['app']}/resources/{row['name']}"
        return Answer(
            "bad" if row["state"] != "down" else "info",
            say("Not every resource is ready"),
            row["reason"] or say("{name} is {state}", name=row["name"], state=row["state"]),
            link,
            say("Open {name}", name=row["name"]),
        )
    return Answer("ok", say("Resources"), say("{count} are ready.", count=len(rows)))


def of_one(view: Mapping[str, Any]) -> Answer:
    """What is the case with it, and what to look at."""
    name = str(view["name"])
    if view["state"] not in ("ready", "external"):
        hint = say("`aic up` starts it; its data is here") if view["state"] == "down" else view["reason"]
        return Answer("info" if view["state"] == "down" else "bad", name, hint)
    if view["trouble"]:
        return Answer("bad", name, view["trouble"])
    if view["faults"]:
        return Answer("warn", name, str(view["faults"][0]))
    if _reads_from_disk(view):
        detail = say("Only {share} of what is asked for is in memory.", share=f"{view['hit_ratio']:.0%}")
        return Answer("warn", name, detail)
    if view["state"] == "external":
        return Answer("ok", name, say("It stands elsewhere; only its address is known here."))
    return Answer("ok", name, say("It is well."))


def _reads_from_disk(view: Mapping[str, Any]) -> bool:
    """A server that has just come up reads everything for the first time: that says nothing yet."""
    if view["type"] not in ("postgres", "mysql") or view["hit_ratio"] is None:
        return False
    return bool(view["hit_ratio"] < HIT_RATIO_LOW and (view["uptime"] or 0) > _WARM)


def sections() -> list[Section]:
    """Every table that some type has, in the order in which a page shows them."""
    return [
        Section("mails", say("Inbox"), (
            ("at", say("When"), "when"), ("sender", say("From"), "text"), ("recipients", say("To"), "text"),
            ("subject", say("Subject"), "name"), ("by", say("sent by"), "text"), ("bytes", say("size"), "amount"),
        ), say("No mail was sent yet."), say("Search the mails")),
        Section("queries", say("Slow statements"), (
            ("query", say("Statement"), "code"), ("calls", say("calls"), "number"), ("mean_ms", say("mean"), "ms"),
            ("max_ms", say("longest"), "ms"), ("total_ms", say("in all"), "ms"),
        ), say("Nothing was asked yet.")),
        Section("slow", say("Slow commands"), (("query", say("Command"), "code"), ("max_ms", say("took"), "ms")), say("None was slow.")),
        Section("tables", say("Tables"), (
            ("name", say("Table"), "code"), ("schema", say("Schema"), "text"), ("rows", say("rows (estimate)"), "number"),
            ("bytes", say("size"), "amount"), ("scans", say("full scans"), "number"), ("index_scans", say("index scans"), "number"),
        ), say("No table yet.")),
        Section("relations", say("Tables"), (
            ("name", say("Table"), "code"), ("database", say("Database"), "text"), ("rows", say("rows (estimate)"), "number"),
            ("bytes", say("size"), "amount"),
        ), say("No table yet.")),
        Section("schemas", say("Databases"), (
            ("name", say("Database"), "code"), ("bytes", say("size"), "amount"), ("connections", say("connections"), "number"),
            ("tables", say("tables"), "number"),
        ), say("None.")),
        Section("databases", say("Databases"), (
            ("name", say("Database"), "code"), ("bytes", say("size"), "amount"), ("connections", say("connections"), "number"),
            ("commits", say("committed"), "number"), ("rollbacks", say("rolled back"), "number"), ("deadlocks", say("deadlocks"), "number"),
        ), say("None.")),
        Section("buckets", say("Buckets"), (
            ("name", say("Bucket"), "code"), ("objects", say("objects"), "number"), ("bytes", say("size"), "amount"),
        ), say("No bucket yet.")),
        Section("objects", say("Objects"), (
            ("name", say("Object"), "name"), ("bytes", say("size"), "amount"), ("at", say("When"), "when"),
        ), say("No object yet."), say("Beginning of BUCKET/NAME")),
        Section("streams", say("Streams"), (
            ("name", say("Stream"), "code"), ("messages", say("messages"), "number"), ("bytes", say("size"), "amount"),
            ("consumers", say("consumers"), "number"),
        ), say("No stream yet.")),
        Section("spaces", say("Key space"), (
            ("name", say("Database"), "code"), ("keys", say("keys"), "number"), ("expires", say("that expire"), "number"),
        ), say("No key yet.")),
        Section("keys", say("Keys"), (
            ("name", say("Key"), "name"), ("type", say("Type"), "text"), ("ttl", say("expires in s"), "number"),
        ), say("No key yet."), say("Search the keys")),
    ]  # fmt: skip
