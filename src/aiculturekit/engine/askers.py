"""Putting a replica's probes to it for as long as its process lives: eagerly until the first good answer, then at their own pace."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

from aiculturekit.engine import containers, probes
from aiculturekit.engine.containers import Bundle
from aiculturekit.engine.probes import Verdict
from aiculturekit.engine.rooms import Room
from aiculturekit.engine.workloads import Probe, Workload

FIRST, SLOWEST = 0.03, 0.25
"""Seconds before the first question, and between questions to one that is still starting."""
SLOWER = 1.1
"""From one question to the next: what is ready is found out after a tenth of the time that it took, at most."""

Tell = Callable[[Verdict], None]


class Asker:
    """`is_starting` says whether the replica still waits for its first good answer."""

    def __init__(
        self,
        workload: Workload,
        *,
        port: int,
        environment: Mapping[str, str],
        room: Room | None,
        is_starting: Callable[[], bool],
        bundle: Bundle | None = None,
    ) -> None:
        self._workload, self._port, self._environment, self._room = workload, port, environment, room
        self._bundle = bundle
        self._is_starting = is_starting

    async def ask_ready(self, tell: Tell) -> None:
        """The readiness probe, for ever."""
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            verdict = await self._ask(self._workload.readiness)
            tell(verdict)
            is_eager = not verdict.is_well and self._is_starting()
            pause = min(pause * SLOWER, SLOWEST) if is_eager else self._workload.readiness.every

    async def ask_alive(self, tell: Tell) -> None:
        """The liveness probe, for ever; returns at once where there is none."""
        probe = self._workload.liveness
        while probe is not None:
            await asyncio.sleep(probe.every)
            tell(await self._ask(probe))

    async def _ask(self, probe: Probe) -> Verdict:
        directory = self._workload.directory
        if self._bundle is not None:
            probe = dataclasses.replace(probe, command=self._bundle.inside(probe.command))
            directory = self._bundle.folder
        return await probes.ask(
            probe,
            port=self._port,
            directory=directory,
            environment=containers.ENVIRONMENT if self._bundle else self._environment,
            room=self._room,
            is_runtime=self._bundle is not None,
        )
