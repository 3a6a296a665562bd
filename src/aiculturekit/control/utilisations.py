"""What was asked for of the machines, and what is used of it: of our own replicas here, of pods in clusters. Reads only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from aiculturekit.control.placements import Placement, Placements
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Instance
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.state import releases, settings
from aiculturekit.state.databases import Database
from aiculturekit.targets.kubernetes import usages
from aiculturekit.targets.kubernetes.clients import Client

Json = dict[str, Any]
Usage = tuple[float | None, float | None]
"""(asked for, used)."""
PATIENCE = 5.0
"""Seconds that a cluster has to answer."""
_METRICS = "metrics.k8s.io/v1beta1"


class Utilisations:
    def __init__(self, *, database: Database, engine: Engine, placements: Placements) -> None:
        self._database, self._engine, self._placements = database, engine, placements

    async def all(self, app: str | None = None) -> list[Json]:
        """A row for this machine and each placement (or for one of them): {place, cpu, memory, why}; cpu in cores, memory in bytes, each
        {requested, used, ratio}. `why` says what can't be known."""
        found = [place for place in await self._database.run(_in_use) if app in (None, place.key)]
        here = [self._here(app)] if app is None or "@" not in app else []
        there = await asyncio.gather(*(self._there(place) for place in found))
        return [row for row in (*here, *there) if row is not None]

    async def platforms(self) -> list[str]:
        """Where something was deployed to and not taken down: this machine, clusters by their context."""
        contexts = {place.cluster.context for place in await self._database.run(_in_use)}
        here = ["local:"] if self._engine.statuses() else []
        return [*here, *(f"kubernetes://{context}" for context in sorted(contexts))]

    def _here(self, app: str | None) -> Json | None:
        cpu: list[Usage] = []
        memory: list[Usage] = []
        for status in self._engine.statuses():
            workload = status.workload
            if app in (None, workload.key.app):
                live = [one for one in status.instances if one.pid is not None]
                cores = workload.limits.cpu / 1000 if workload.limits.cpu else None
                cpu += [(cores, _cores(one)) for one in live]
                memory += [(workload.limits.memory, one.memory_bytes) for one in live]
        why = (
            ""
            if _asked(cpu) or _asked(memory)
            else say("no workload says how much it needs: `resources:` with `cpu` and `memory`")
        )
        return _row(app or "local:", cpu, memory, why=why) if memory else None

    async def _there(self, place: Placement) -> Json:
        try:
            async with asyncio.timeout(PATIENCE), self._placements.target(place) as target:
                labels = f"app.kubernetes.io/managed-by=aic,app.kubernetes.io/part-of={place.app}"
                namespace = place.cluster.namespace
                pods = await target.client.listed("v1", "Pod", namespace=namespace, labels=labels)
                used, why = await _measured(target.client, namespace)
        except TimeoutError:
            return _row(place.key, (), (), why=say("no answer within {seconds} s", seconds=f"{PATIENCE:g}"))
        except AicError as error:
            return _row(place.key, (), (), why=error.message)
        rows = usages.of_pods(pods, used)
        return _row(place.key, [row.cpu for row in rows], [row.memory for row in rows], why=why)


async def _measured(client: Client, namespace: str) -> tuple[list[Json], str]:
    """What metrics-server says of the pods, and why it says nothing."""
    try:
        return await client.listed(_METRICS, "PodMetrics", namespace=namespace), ""
    except AicError:
        return [], say("the cluster has no metrics-server: what is used is not known")


def _row(place: str, cpu: Sequence[Usage], memory: Sequence[Usage], *, why: str) -> Json:
    return {"place": place, "cpu": _summed(cpu), "memory": _summed(memory), "why": why}


def _summed(listed: Sequence[Usage]) -> Json:
    """`ratio` is of those of whom both are known."""
    both = [(asked, used) for asked, used in listed if asked and used is not None]
    asked, used = (sum(pair[at] for pair in both) for at in (0, 1))
    return {
        "requested": _total(asked for asked, _ in listed),
        "used": _total(used for _, used in listed),
        "ratio": used / asked if asked else None,
    }


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _asked(listed: Sequence[Usage]) -> bool:
    return any(asked for asked, _ in listed)


def _cores(one: Instance) -> float | None:
    """The mean since the process began."""
    if one.cpu_seconds is None or one.started_at is None:
        return None
    return one.cpu_seconds / max(1.0, time.time() - one.started_at)


def _in_use(connection: Connection) -> list[Placement]:
    """Placements with a release in force."""
    found = []
    for key in releases.apps(connection):
        record = settings.get(connection, f"placement:{key}")
        if record is not None and releases.current(connection, key) is not None:
            values: Mapping[str, str] = json.loads(record)
            found.append(Placement(**values))
    return found
