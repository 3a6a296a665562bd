"""Who buys: users in a SQLite file, GET /users and GET /users/{id}."""

import asyncio
import os
import sqlite3

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

FILE = os.environ["USERS_DB_URL"].removeprefix("sqlite:///")
FIRST = [(1, "Lin Wei", "lin@example.com"), (2, "Ada Byron", "ada@example.com"), (3, "Omar Said", "omar@example.com")]


def query(statement: str, *values: object) -> list[dict[str, object]]:
    with sqlite3.connect(FILE, timeout=5) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(statement, values)]


def prepare() -> None:
    query("PRAGMA journal_mode = wal")
    query("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)")
    for user in FIRST:
        query("INSERT OR IGNORE INTO users VALUES (?, ?, ?)", *user)


async def users(request: Request) -> Response:
    return JSONResponse(await asyncio.to_thread(query, "SELECT id, name FROM users ORDER BY id"))


async def user(request: Request) -> Response:
    found = await asyncio.to_thread(query, "SELECT * FROM users WHERE id = ?", request.path_params["id"])
    return JSONResponse(found[0]) if found else JSONResponse({"error": "no such user"}, status_code=404)


async def healthz(request: Request) -> Response:
    await asyncio.to_thread(query, "SELECT 1")
    return PlainTextResponse("ok\n")


prepare()
app = Starlette(routes=[Route("/users", users), Route("/users/{id:int}", user), Route("/healthz", healthz)])
