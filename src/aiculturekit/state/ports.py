"""Which name holds which port of this machine. A port has one holder."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from aiculturekit.state import rows
from aiculturekit.state.schema import ports


def held(connection: Connection) -> dict[str, int]:
    """Every name with its port."""
    return {row.name: row.port for row in connection.execute(select(ports).order_by(ports.c.name))}


def hold(connection: Connection, name: str, *, port: int) -> None:
    """From now on `name` has `port`, and no longer the one it had. A port that another name holds is an
    IntegrityError."""
    rows.put(connection, ports, key={"name": name}, values={"port": port})


def release(connection: Connection, *, prefix: str) -> None:
    """Give up the ports of every name that starts with `prefix` (exactly: case and `%` count)."""
    connection.execute(ports.delete().where(func.substr(ports.c.name, 1, len(prefix)) == prefix))
