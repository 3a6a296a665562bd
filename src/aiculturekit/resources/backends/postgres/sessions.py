"""The administrator's door to a running PostgreSQL: its socket, which no network leads to."""

from __future__ import annotations

from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.resources import programs
from aiculturekit.resources.backends.postgres.clusters import OWNER, folder
from aiculturekit.resources.servers import Ground

MAINTENANCE = "postgres"
"""The database that every server has."""


async def sql(ground: Ground, database: str, script: str, *, seconds: float = 60.0) -> str:
    """What the administrator gets for a script of psql's: tuples only, unaligned. Raises Failed."""
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", *place(ground, database)]
    return await programs.ask(
        [ground.programs / "psql", *options],
        uid=ground.uid,
        directory=ground.folder,
        given=script.encode(),
        seconds=seconds,
        environment={"PGAPPNAME": "aic"},
    )


def place(ground: Ground, database: str) -> list[str]:
    """The options with which every program of PostgreSQL finds a database of the running server. Raises Failed where it does not run."""
    return [*door(ground), "-d", database]


def door(ground: Ground) -> list[str]:
    """The same, for programs that are about the whole server."""
    return ["-h", str(ground.sockets), "-p", str(_port(ground)), "-U", OWNER]


def _port(ground: Ground) -> int:
    """The fourth line of postmaster.pid is the port. Raises Failed."""
    try:
        return int((folder(ground) / "postmaster.pid").read_text().splitlines()[3])
    except (OSError, IndexError, ValueError):
        raise Failed(say("{name} does not run", name=ground.name), hint=say("`aic up` starts it")) from None
