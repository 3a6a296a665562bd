"""Orders in a SQLite file: an order that was answered is on disk."""

import json
import os
import sqlite3
import time
from typing import Any

FILE = os.environ["ORDERS_DB_URL"].removeprefix("sqlite:///")


def prepare() -> None:
    with sqlite3.connect(FILE, timeout=5) as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute(
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL)"
        )


def save(order: dict[str, Any]) -> None:
    with sqlite3.connect(FILE, timeout=5) as database:
        database.execute("INSERT INTO orders VALUES (?, ?, ?)", (order["id"], time.time(), json.dumps(order)))


def find(identifier: str) -> dict[str, Any] | None:
    with sqlite3.connect(FILE, timeout=5) as database:
        row = database.execute("SELECT body FROM orders WHERE id = ?", (identifier,)).fetchone()
    return json.loads(row[0]) if row else None


def recent() -> list[dict[str, Any]]:
    with sqlite3.connect(FILE, timeout=5) as database:
        rows = database.execute("SELECT body FROM orders ORDER BY at DESC LIMIT 10").fetchall()
    return [json.loads(body) for (body,) in rows]
