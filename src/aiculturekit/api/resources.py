"""The routes about resources: what there is, how it is, what is in it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from aiculturekit.control.guests import LONGEST, Guests
from aiculturekit.control.resources import MOST_ROWS, MOST_SECONDS, ROWS, SECONDS, Resources
from aiculturekit.endpoints import Before, Endpoints
from aiculturekit.resources.servers import Verb

Json = dict[str, Any]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS)]


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: str = Field(
        max_length=20_000, description="One statement in the server's own language, which only reads."
    )
    database: str = Field("", max_length=63, description="The database to ask; the usual one when left out.")
    rows: int = Field(ROWS, ge=1, le=MOST_ROWS, description="Rows of the answer at most.")
    seconds: float = Field(SECONDS, ge=0.1, le=MOST_SECONDS, description="Seconds that it may take.")


class Guest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: Verb = Field("read", description="What it may do.")
    seconds: float = Field(3600, gt=0, le=LONGEST, description="How long it lasts.")
    port: int = Field(ge=1, le=65535, description="The port of this machine that the URL names.")


def router(resources: Resources, guests: Guests, *, authorize: Before) -> Endpoints:
    routes = Endpoints(prefix="/api/v1", before=authorize)
    _reading(routes, resources)
    _working(routes, resources)
    _lending(routes, guests)
    return routes


def _reading(routes: Endpoints, resources: Resources) -> None:
    @routes.get("/resources", summary="Databases, caches and stores of all applications")
    async def everything() -> list[Json]:
        return await resources.listed()

    @routes.get("/apps/{app}/resources", summary="An application's databases, caches and stores")
    async def listed(app: str) -> list[Json]:
        return await resources.listed(app)

    @routes.get("/apps/{app}/resources/{name}", summary="One resource in detail: what its server says of itself")
    async def one(app: str, name: str) -> Json:
        return await resources.detail(app, name)

    @routes.get("/apps/{app}/resources/{name}/items", summary="What is in it: keys, objects or messages")
    async def items(
        app: str, name: str, what: str, within: str = "", search: str = "", limit: Limit = 100
    ) -> list[Json]:
        return await resources.items(app, name, what=what, within=within, search=search, limit=limit)

    @routes.get("/apps/{app}/resources/{name}/item", summary="One key, object or message with its content")
    async def item(app: str, name: str, what: str, key: str, within: str = "") -> Json:
        return await resources.item(app, name, what=what, within=within, key=key)


def _working(routes: Endpoints, resources: Resources) -> None:
    @routes.post("/apps/{app}/resources/{name}/query", summary="Ask it one statement that only reads")
    async def query(app: str, name: str, body: Question) -> Json:
        return await resources.ask(
            app, name, statement=body.statement, database=body.database, rows=body.rows, seconds=body.seconds
        )

    @routes.get("/apps/{app}/resources/{name}/programs", summary="The programs to work with it by hand on this machine")
    async def programs(app: str, name: str, database: str = "") -> Json:
        return await resources.programs(app, name, database=database)


def _lending(routes: Endpoints, guests: Guests) -> None:
    @routes.post("/apps/{app}/resources/{name}/guests", summary="A credential for a while; the answer has its password")
    async def lend(app: str, name: str, body: Guest) -> Json:
        return await guests.lend(app, name, verb=body.verb, seconds=body.seconds, port=body.port)

    @routes.delete("/apps/{app}/resources/{name}/guests/{user}", summary="The credential ends now")
    async def give_back(app: str, name: str, user: str) -> Json:
        return await guests.give_back(app, name, user)
