"""What happened, told to whoever listens. A slow listener loses its oldest news, never the teller's time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

News = tuple[str, Mapping[str, Any]]


class Hub:
    """`tell` is called from the event loop; `listen` yields (kind, payload) from now on."""

    def __init__(self, *, backlog: int = 256) -> None:
        self._backlog = backlog
        self._listeners: set[asyncio.Queue[News]] = set()

    @property
    def is_heard(self) -> bool:
        return bool(self._listeners)

    def tell(self, kind: str, payload: Mapping[str, Any]) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait((kind, payload))

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Queue[News]]:
        queue: asyncio.Queue[News] = asyncio.Queue(self._backlog)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
