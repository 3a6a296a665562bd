"""What has been applied: the documents in force, each `{"kind", "name", "body"}`, in the order of their first
application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from aiculturekit.state import rows
from aiculturekit.state.schema import documents


def apps(connection: Connection) -> list[str]:
    """The applications that have any, by name."""
    return list(connection.scalars(select(documents.c.app).distinct().order_by(documents.c.app)))


def of_app(connection: Connection, app: str) -> list[dict[str, Any]]:
    columns = select(documents.c.kind, documents.c.name, documents.c.body)
    found = connection.execute(columns.where(documents.c.app == app).order_by(documents.c.id))
    return [dict(row) for row in found.mappings()]


def put(connection: Connection, app: str, *, document: Mapping[str, Any]) -> None:
    """Record the document as applied, in place of the one of its kind and name."""
    key = {"app": app, "kind": document["kind"], "name": document["name"]}
    rows.put(connection, documents, key=key, values={"body": document["body"]})


def remove(connection: Connection, app: str, *, kind: str, name: str) -> None:
    """Record the document as gone. Idempotent."""
    table = documents.c
    connection.execute(documents.delete().where(table.app == app, table.kind == kind, table.name == name))
