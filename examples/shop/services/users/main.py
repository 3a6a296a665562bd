"""Who buys: users in PostgreSQL, GET /users and GET /users/{id}."""

import contextlib
import os
from collections.abc import AsyncIterator

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

POOL = AsyncConnectionPool(
    os.environ["USERS_DB_URL"],
    min_size=1,
    max_size=8,
    open=False,
    check=AsyncConnectionPool.check_connection,
    kwargs={"autocommit": True, "row_factory": dict_row},
)
LARGEST = 2**31 - 1


async def query(statement: str, *values: object) -> list[dict[str, object]]:
    async with POOL.connection() as database:
        return await (await database.execute(statement, values)).fetchall()


async def users(request: Request) -> Response:
    return JSONResponse(await query("SELECT id, name FROM users ORDER BY id LIMIT 1000"))


async def user(request: Request) -> Response:
    number = request.path_params["id"]
    found = await query("SELECT * FROM users WHERE id = %s", number) if number <= LARGEST else []
    return JSONResponse(found[0]) if found else JSONResponse({"error": "no such user"}, status_code=404)


async def healthz(request: Request) -> Response:
    await query("SELECT 1 FROM users LIMIT 1")
    return PlainTextResponse("ok\n")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with POOL:
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/users", users), Route("/users/{id:int}", user), Route("/healthz", healthz)],
)
