"""The releases of an application in a cluster, kept there: so that their numbers go on, and a way back is known, on whatever machine."""

from __future__ import annotations

import dataclasses
import gzip
import json
from typing import Any

from sqlalchemy import Connection

from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release
from aiculturekit.targets.kubernetes.target import Kubernetes

KEPT = 20
"""The latest ones, each with all of its documents."""


async def learn(database: Database, target: Kubernetes, *, key: str) -> None:
    """What others did since is known here too. Raises Failed for what can't be read."""
    data = await target.history.load()
    if data:
        await database.run(_learn, key, _read(data, key))


async def tell(database: Database, target: Kubernetes, *, key: str) -> None:
    """What was done here is known there too; of what is not there any more, nothing."""
    if target.standing.ledger.is_empty:
        await target.history.remove()
        return
    found = await database.run(_latest, key)
    await target.history.save(_written(found))


def _learn(connection: Connection, key: str, found: list[Release]) -> None:
    """Where all of them are known here, this machine knows as much or more: what it did last may not have been told yet."""
    known = {one.number: one.created_at for one in releases.history(connection, key, limit=10 * KEPT)}
    if all(known.get(one.number) == one.created_at for one in found):
        return
    releases.supersede(connection, key)
    for one in found:
        releases.keep(connection, one)


def _latest(connection: Connection, key: str) -> list[Release]:
    numbers = [one.number for one in releases.history(connection, key, limit=KEPT)]
    return [one for number in reversed(numbers) if (one := releases.get(connection, key, number))]


def _written(found: list[Release]) -> bytes:
    """`app` is told by where it lies; the file's place is this machine's own."""
    records = [{name: value for name, value in dataclasses.asdict(one).items() if name != "app"} for one in found]
    return gzip.compress(json.dumps(records, separators=(",", ":")).encode(), mtime=0)


def _read(data: bytes, key: str) -> list[Release]:
    try:
        records: list[dict[str, Any]] = json.loads(gzip.decompress(data))
        return [
            Release(**{**one, "app": key, "documents": tuple(one["documents"]), "steps": tuple(one["steps"])})
            for one in records
        ]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise Failed(
            say("what the cluster keeps of the application can't be read: {error}", error=str(error)),
            hint=say(
                "a newer version of aic may have written it; else remove the Secret, and deploy again with --force-conflicts"
            ),
        ) from None
