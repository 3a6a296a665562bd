"""Who may use which resource with which password. Passwords are what this table is for: it is never part of an answer."""

from __future__ import annotations

import dataclasses

from sqlalchemy import Connection, and_, select

from aiculturekit.state import rows
from aiculturekit.state.schema import credentials


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """`number` counts a workload's credentials of one resource: the highest is the one that it is given."""

    app: str
    resource: str
    user: str
    workload: str
    number: int
    password: str = dataclasses.field(repr=False)
    created_at: float


def all_of_them(connection: Connection) -> list[Credential]:
    """Of every application, in the order in which they were made."""
    listed = connection.execute(select(credentials).order_by(credentials.c.created_at, credentials.c.number))
    return [Credential(**row._mapping) for row in listed]


def put(connection: Connection, credential: Credential) -> None:
    key = {"app": credential.app, "resource": credential.resource, "user": credential.user}
    values = {name: value for name, value in dataclasses.asdict(credential).items() if name not in key}
    rows.put(connection, credentials, key=key, values=values)


def remove(connection: Connection, app: str, *, resource: str, user: str) -> None:
    table = credentials.c
    connection.execute(
        credentials.delete().where(and_(table.app == app, table.resource == resource, table.user == user))
    )


def forget(connection: Connection, app: str, *, resource: str) -> None:
    """All of a resource: it is gone."""
    table = credentials.c
    connection.execute(credentials.delete().where(and_(table.app == app, table.resource == resource)))
