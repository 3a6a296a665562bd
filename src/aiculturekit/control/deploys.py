"""The delivery record: what became of every deploy, and the figures that follow from it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from aiculturekit.control import statistics, times
from aiculturekit.control.operations import Operation
from aiculturekit.control.utilisations import Utilisations
from aiculturekit.locator import Locator
from aiculturekit.state import deliveries, deploys, releases, settings
from aiculturekit.state.databases import Database
from aiculturekit.state.deploys import Deploy, Outcome
from aiculturekit.state.releases import Release

Json = dict[str, Any]
LOCAL = "local:"
USUAL = 30 * 86400.0
"""Seconds that figures are of, when nothing else is said."""


class Deploys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ended(self, operation: Operation) -> None:
        """Write a deploy down; nothing for any other verb."""
        if operation.verb in deploys.VERBS:
            await self._database.run(_append, operation)

    async def listed(self, *, since: float, app: str | None = None) -> list[Deploy]:
        """Those that ended in the last `since` seconds, oldest first, each with its target."""
        return await self._database.run(_listed, time.time() - since, app)


class Figures:
    """The figures of all deploys, with what the platforms use now."""

    def __init__(self, recorded: Deploys, utilisations: Utilisations) -> None:
        self._deploys, self._utilisations = recorded, utilisations

    async def all(self, *, since: float = USUAL, app: str | None = None) -> Json:
        """{since, until, deploys, figures, days, latest, platforms, utilisation}."""
        now = time.time()
        found, used, platforms = await asyncio.gather(
            self._deploys.listed(since=since, app=app), self._utilisations.all(app), self._utilisations.platforms()
        )
        return {
            "since": times.iso(now - since),
            "until": times.iso(now),
            "app": app,
            "deploys": len(found),
            "figures": statistics.figures(found, seconds=since),
            "days": statistics.days(found, until=now, seconds=since),
            "latest": [shown(one) for one in reversed(found[-50:])],
            "platforms": platforms,
            "utilisation": used,
        }


def shown(one: Deploy) -> Json:
    return {
        "app": one.app,
        "environment": one.environment,
        "target": one.target,
        "verb": one.verb,
        "author": one.author,
        "release": one.release,
        "started_at": times.iso(one.started_at),
        "finished_at": times.iso(one.finished_at),
        "duration_s": round(one.finished_at - one.started_at, 3),
        "outcome": one.outcome,
        "message": one.message,
        "revision": one.revision,
        "committed_at": times.iso(one.committed_at),
    }


def _append(connection: Connection, operation: Operation) -> None:
    made = _made(connection, operation)
    delivery = deliveries.get(connection, operation.app) or {}
    delivery = delivery if delivery.get("operation") == operation.id else {}
    began = [operation.started_at, delivery.get("started_at"), made.began_at if made else None]
    found = Deploy(
        app=operation.app,
        environment=made.environment if made else operation.app.partition("@")[2],
        target=_target(connection, operation.app),
        verb=operation.verb,
        author=operation.author,
        release=made.number if made else operation.release,
        started_at=min(moment for moment in began if moment),
        finished_at=operation.finished_at or time.time(),
        outcome=_outcome(operation, made, delivery),
        message=operation.error.message if operation.error else "",
        revision=made.revision if made else "",
        committed_at=made.committed_at if made else None,
    )
    deploys.append(connection, found)


def _made(connection: Connection, operation: Operation) -> Release | None:
    """The last release that it made. None where there was nothing to do, or it ended before anything was touched."""
    numbers = [said["release"] for kind, said in operation.events if kind == "operation" and said.get("release")]
    return releases.get(connection, operation.app, numbers[-1]) if numbers else None


def _outcome(operation: Operation, made: Release | None, delivery: Mapping[str, Any]) -> Outcome:
    if delivery.get("state") == "back":
        return "back"
    if operation.error:
        return "failed"
    return "done" if made else "unchanged"


def _listed(connection: Connection, moment: float, app: str | None) -> list[Deploy]:
    return [_placed(connection, one) for one in deploys.since(connection, moment, app=app)]


def _placed(connection: Connection, one: Deploy) -> Deploy:
    return one if one.target else dataclasses.replace(one, target=_target(connection, one.app))


def _target(connection: Connection, app: str) -> str:
    """Without what is secret in it. Of an application in a cluster the one that is remembered."""
    if "@" not in app:
        return LOCAL
    record = settings.get(connection, f"placement:{app}")
    return str(Locator.parse(json.loads(record)["target"])) if record else ""
