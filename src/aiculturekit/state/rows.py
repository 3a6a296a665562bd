"""What several repositories do with a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table


def put(connection: Connection, table: Table, *, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Update the row that has `key`, or insert it. No race: transactions are one at a time."""
    update = table.update().values(**values)
    for name, value in key.items():
        update = update.where(table.c[name] == value)
    if connection.execute(update).rowcount == 0:
        connection.execute(table.insert().values(**key, **values))
