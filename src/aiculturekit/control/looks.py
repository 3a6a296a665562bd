"""Looking at a delivery's new versions: what they answered, whether they are ready, whether anything is in flight on them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque

from aiculturekit.control.verdicts import Reading
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.mesh import windows
from aiculturekit.mesh.figures import Sample
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan.deliveries import Delivery, Move
from aiculturekit.targets.local import Local

RECENT = 10.0
"""Seconds of the last figures that are judged by themselves: a long stage must not thin out what fails now."""
DRAIN, DRAIN_LOOK = 1.0, 0.25
"""Seconds at least for what is in flight on a version that gets no requests any more; it may take as long as its `grace`."""


class Meter:
    """The figures of one service's new version, stage by stage."""

    def __init__(self, app: str, move: Move) -> None:
        self._app, self._move = app, move
        self._baseline = Tally()
        self.begin()

    def begin(self) -> None:
        """A new stage. The stable version's figures are kept for a stage in which it answers too little to compare with."""
        self._stage, self._stable = Tally(), Tally()
        self._recent: deque[Tally] = deque()

    def add(self, now: Sample, before: Sample, *, others: list[str], least: int) -> None:
        def of(version: str) -> Tally:
            return windows.gained(now, before, app=self._app, target=self._move.service, version=version)

        new = of(self._move.version)
        self._stage += new
        self._recent.append(new)
        while sum(tally.seconds for tally in self._recent) - self._recent[0].seconds >= RECENT:
            self._recent.popleft()
        for version in others:
            self._stable += dataclasses.replace(of(version), seconds=0.0)
        self._stable += Tally(now.at - before.at)
        if self._stable.requests >= least:
            self._baseline = self._stable

    def reading(self, *, least: int) -> Reading:
        name = f"{self._move.service} {self._move.version}"
        stable = self._stable if self._stable.requests >= least or not self._baseline.requests else self._baseline
        return Reading(name, self._stage, sum(self._recent, Tally()), stable)


class Looks:
    """The meters of all services of a delivery; `least` requests make a judgement."""

    def __init__(self, delivery: Delivery, *, least: int, target: Local, engine: Engine, mesh: Mesh) -> None:
        self._delivery, self._least = delivery, least
        self._target, self._engine, self._mesh = target, engine, mesh
        self._meters = [Meter(delivery.app, move) for move in delivery.moves]

    def begin(self) -> None:
        """A new stage."""
        for meter in self._meters:
            meter.begin()

    async def sample(self) -> Sample | None:
        """None while the proxy is being restarted: time goes on, and what cannot be judged goes back."""
        try:
            return await self._mesh.sample()
        except (AicError, OSError):
            return None

    def add(self, now: Sample, before: Sample) -> None:
        workloads = [d.name.partition("/") for d in self._target.in_force(self._delivery.app) if d.kind == "workload"]
        for meter, move in zip(self._meters, self._delivery.moves, strict=True):
            others = [version for name, _, version in workloads if name == move.service and version != move.version]
            meter.add(now, before, others=others, least=self._least)

    def readings(self) -> tuple[Reading, ...]:
        return tuple(meter.reading(least=self._least) for meter in self._meters)

    def unready(self) -> str:
        """What is not well with the new versions; "" when they all are ready."""
        for move in self._delivery.moves:
            status = self._engine.status(Key(self._delivery.app, move.service, move.version))
            if status is None or not status.ready:
                reasons = [one.reason for one in status.instances if one.reason] if status else []
                return say("{name} is not ready: {reason}", name=move.workload, reason=next(iter(reasons), "–"))
        return ""

    async def drained(self) -> None:
        """Wait until nothing is in flight on the temporary versions, or their grace is over."""
        await asyncio.sleep(DRAIN)
        app, moves = self._delivery.app, [move for move in self._delivery.moves if move.is_temporary]
        bodies = {document.name: document.body for document in self._target.in_force(app)}
        graces = [bodies[move.workload]["grace"] for move in moves if move.workload in bodies]
        deadline = time.monotonic() + max(graces, default=0.0)
        while time.monotonic() < deadline:
            try:
                flying = [await self._mesh.in_flight(app, move.service, version=move.version) for move in moves]
            except (AicError, OSError):  # the proxy is being restarted, and with it went what was in flight
                return
            if not any(flying):
                return
            await asyncio.sleep(DRAIN_LOOK)
