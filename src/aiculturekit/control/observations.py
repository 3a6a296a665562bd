"""The mesh's figures, sampled by one task: a rate is a difference, so there is one reader of the counters and many of the sample."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from aiculturekit.control.hubs import Hub
from aiculturekit.errors import AicError
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Edge

log = logging.getLogger(__name__)

BUSY, IDLE = 2.0, 10.0
"""Seconds between samples while somebody looks, and while nobody does."""


class Observations:
    """`edges` is the last sample. Asking for it keeps the sampling fast for a while."""

    def __init__(self, *, mesh: Mesh, hub: Hub) -> None:
        self._mesh, self._hub = mesh, hub
        self._edges: list[Edge] = []
        self._asked = 0.0
        self._wake = asyncio.Event()

    def edges(self, app: str) -> list[Edge]:
        self._asked = time.monotonic()
        self._wake.set()
        return [edge for edge in self._edges if edge.app == app]

    async def watch(self) -> None:
        """Sample for ever."""
        while True:
            try:
                self._edges = await self._mesh.edges()
            except (AicError, OSError):  # a proxy that is being restarted: the next sample has it again
                log.debug("no sample of the mesh", exc_info=True)
            self._hub.tell("sample", {})
            await self._pause()

    async def _pause(self) -> None:
        watched = self._hub.is_heard or time.monotonic() - self._asked < 30
        if watched:
            await asyncio.sleep(BUSY)
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), IDLE)
