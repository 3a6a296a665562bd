"""The mesh's figures, sampled by one task: a rate is a difference, so there is one reader of the counters and many of the sample."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from aiculturekit.control.hubs import Hub
from aiculturekit.control.sightings import Sightings
from aiculturekit.errors import AicError
from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Growth, Place, Sample
from aiculturekit.mesh.histories import History, Window
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Edge

log = logging.getLogger(__name__)

BUSY, IDLE = 2.0, 10.0
"""Seconds between samples while somebody looks, and while nobody does."""
_LOOKING = 30.0
"""Seconds for which one look keeps the sampling fast."""


class Observations:
    """The last sample, and what came in the last quarter of an hour. Asking keeps the sampling fast for a while."""

    def __init__(self, *, mesh: Mesh, hub: Hub, sightings: Sightings) -> None:
        self._mesh, self._hub, self._sightings = mesh, hub, sightings
        self._history = History()
        self._sample: Sample | None = None
        self._edges: list[Edge] = []
        self._asked = 0.0
        self._wake = asyncio.Event()

    def edges(self, app: str, *, seconds: float | None = None) -> list[Edge]:
        """Every edge of an application, with the figures of the last sample, or over the last `seconds`."""
        self._look()
        if seconds is None or self._sample is None:
            return [edge for edge in self._edges if edge.app == app]
        grown, known = self._history.grown(now=time.monotonic(), seconds=seconds, app=app)
        return [edge for edge in figures.edges(self._sample, grown, seconds=known) if edge.app == app]

    def window(self, app: str, target: str, version: str | None, seconds: float) -> Window:
        """The figures of one version of a service (of all of them, where None) over the last `seconds`, all callers together."""
        self._look()
        return self._history.window(now=time.monotonic(), seconds=seconds, app=app, target=target, version=version)

    def series(self, app: str, seconds: float) -> Iterator[tuple[float, float, dict[Place, Growth]]]:
        """(end in seconds since the epoch, length in seconds, what came) of each sample of the last `seconds`, oldest first."""
        self._look()
        now, wall = time.monotonic(), time.time()
        for age, length, grown in self._history.series(now=now, seconds=seconds, app=app):
            yield wall - age, length, grown

    async def watch(self) -> None:
        """Sample for ever."""
        while True:
            try:
                sample = await self._mesh.sample()
                self._take(sample)
                await self._sightings.note(sample, now=time.time())
            except (AicError, OSError):  # a proxy that is being restarted: the next sample has it again
                log.debug("no sample of the mesh", exc_info=True)
            self._hub.tell("sample", {})
            await self._pause()

    async def close(self) -> None:
        """Keep what the next daemon should know. The sampling has ended before."""
        with contextlib.suppress(AicError):  # a full disk must not keep anything else from being let go of
            await self._sightings.close(now=time.time())

    def _take(self, now: Sample) -> None:
        before, self._sample = self._sample, now
        if before is None:
            self._edges = figures.edges(now, {}, seconds=0.0)
            return
        grown, seconds = figures.growths(now, before), now.at - before.at
        self._history.add(grown, at=now.at, seconds=seconds)
        self._edges = figures.edges(now, grown, seconds=seconds)

    def _look(self) -> None:
        self._asked = time.monotonic()
        self._wake.set()

    async def _pause(self) -> None:
        watched = self._hub.is_heard or time.monotonic() - self._asked < _LOOKING
        if watched:
            await asyncio.sleep(BUSY)
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), IDLE)
