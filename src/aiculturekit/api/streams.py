"""Server-sent events (WHATWG HTML, section 9.2): named events with JSON data, and a comment now and then to keep the line open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

KEEP_ALIVE = 15.0


def event(kind: str, payload: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def response(events: AsyncIterator[tuple[str, Mapping[str, Any]]]) -> StreamingResponse:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_bytes(events), media_type="text/event-stream", headers=headers)


async def _bytes(events: AsyncIterator[tuple[str, Mapping[str, Any]]]) -> AsyncIterator[bytes]:
    """The events as bytes, with a comment whenever KEEP_ALIVE seconds pass without one."""
    coming: asyncio.Task[tuple[str, Mapping[str, Any]]] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([coming], timeout=KEEP_ALIVE)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                yield event(*coming.result())
            except StopAsyncIteration:
                return
            coming = None
    finally:
        if coming is not None:
            coming.cancel()
