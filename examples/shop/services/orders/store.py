"""Orders in PostgreSQL: an order that was answered is on disk."""

import os
from typing import Any

from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

POOL = AsyncConnectionPool(
    os.environ["ORDERS_DB_URL"],
    min_size=1,
    max_size=8,
    open=False,
    check=AsyncConnectionPool.check_connection,
    kwargs={"autocommit": True},
)


async def save(order: dict[str, Any]) -> None:
    async with POOL.connection() as database:
        await database.execute("INSERT INTO orders (id, body) VALUES (%s, %s)", [order["id"], Jsonb(order)])


async def find(identifier: str) -> dict[str, Any] | None:
    async with POOL.connection() as database:
        row = await (await database.execute("SELECT body FROM orders WHERE id = %s", [identifier])).fetchone()
    return row[0] if row else None


async def recent() -> list[dict[str, Any]]:
    async with POOL.connection() as database:
        rows = await (await database.execute("SELECT body FROM orders ORDER BY at DESC LIMIT 10")).fetchall()
    return [body for (body,) in rows]
