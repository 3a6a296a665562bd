"""The engine's ledger: the processes that run, so that the next daemon finds them. `pid` and what follows from it are
None between the record's writing and the process's start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from aiculturekit.state import rows
from aiculturekit.state.databases import relaxed
from aiculturekit.state.schema import replicas


@relaxed
def put(connection: Connection, record: Mapping[str, Any]) -> None:
    """Write `{"id", "app", "name", "version", "revision", "release", "pid", "created", "port", "log", "has_served",
    "workload"}`,
    all of it.

    `created` is the process's start in seconds since the epoch, `has_served` whether it ever became ready,
    `workload` plain JSON from which it can be run again.
    """
    rows.put(connection, replicas, key={"id": record["id"]}, values={k: v for k, v in record.items() if k != "id"})


@relaxed
def remove(connection: Connection, identifier: str) -> None:
    """Idempotent."""
    connection.execute(replicas.delete().where(replicas.c.id == identifier))


def all(connection: Connection) -> list[dict[str, Any]]:
    """Every record, as `put` took it."""
    return [dict(row) for row in connection.execute(select(replicas).order_by(replicas.c.id)).mappings()]
