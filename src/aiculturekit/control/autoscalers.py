"""Scaling by load: every few seconds, each workload with a range gets as many replicas as its load needs."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from aiculturekit.control.observations import Observations
from aiculturekit.engine.autoscaling import Sample, decide
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key, Status
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.targets.local import Local

log = logging.getLogger(__name__)
EVERY = 5.0
USUAL_CPU = 70.0
"""Percent of one core that a replica should use where the file gives a range and nothing to scale by."""

Record = Callable[[str, str, str], Awaitable[None]]


class Autoscaler:
    """`record(app, workload, message)` notes each change."""

    def __init__(self, *, target: Local, engine: Engine, observations: Observations, record: Record) -> None:
        self._target, self._engine, self._observations, self._record = target, engine, observations, record
        self._samples: defaultdict[Key, deque[Sample]] = defaultdict(lambda: deque(maxlen=64))
        self._used: dict[Key, tuple[float, float]] = {}

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EVERY)
            for app in self._target.apps():
                for document in self._target.in_force(app):
                    if document.kind == "workload" and document.body["scale"]["max"] > document.body["scale"]["min"]:
                        await self._tend(app, document)

    async def _tend(self, app: str, document: Document) -> None:
        name, _, version = document.name.partition("/")
        key, scale = Key(app, name, version), document.body["scale"]
        status = self._engine.status(key)
        if status is None or status.ready == 0:
            return
        now = time.monotonic()
        self._samples[key].append(Sample(now, rate=self._rate(key), cpu=self._cpu(key, status, now)))
        wanted = decide(
            list(self._samples[key]),
            current=status.workload.replicas,
            minimum=scale["min"],
            maximum=scale["max"],
            rps=scale["rps"],
            cpu=scale["cpu"] or (None if scale["rps"] else USUAL_CPU),
            now=now,
        )
        if wanted != status.workload.replicas:
            await self._scale(status, wanted)

    async def _scale(self, status: Status, wanted: int) -> None:
        key, before = status.workload.key, status.workload.replicas
        try:
            await self._engine.apply(dataclasses.replace(status.workload, replicas=wanted))
        except AicError as error:  # the next look tries again
            log.warning("scaling %s to %s: %s", key, wanted, error.message)
            return
        message = say("scaled {name} from {before} to {after} replicas", name=key.name, before=before, after=wanted)
        await self._record(key.app, f"{key.name}/{key.version}", message)

    def _rate(self, key: Key) -> float:
        edges = self._observations.edges(key.app)
        return sum(edge.rate for edge in edges if (edge.target, edge.version) == (key.name, key.version))

    def _cpu(self, key: Key, status: Status, now: float) -> float:
        """Percent of one core since the last look, over all replicas; 0 where replicas went, since their time went with them."""
        used = sum(instance.cpu_seconds or 0.0 for instance in status.instances)
        at, before = self._used.get(key, (now, used))
        self._used[key] = (now, used)
        return max(0.0, used - before) / (now - at) * 100 if now > at else 0.0
