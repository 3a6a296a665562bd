"""Questions to Envoy over its admin socket: one small HTTP client, since a whole library would be the daemon's
largest import."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httptools

from aiculturekit.errors import Unreachable
from aiculturekit.language import say

TIMEOUT = 5.0
_LIMIT = 64 * 1024 * 1024


class Admin:
    """Envoy behind the unix socket `path`. Every method raises Unreachable when nobody answers there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def stats(self, pattern: str, **parameters: str) -> dict[str, Any]:
        """The figures whose names the regular expression finds, as `/stats?format=json` gives them."""
        answer: dict[str, Any] = json.loads(await self.get("/stats", format="json", filter=pattern, **parameters))
        return answer

    async def prometheus(self) -> str:
        return (await self.get("/stats/prometheus", usedonly="")).decode("utf-8", "replace")

    async def is_ready(self) -> bool:
        """Whether Envoy runs and has taken up its first configuration; never raises."""
        try:
            return (await self.get("/ready")).strip() == b"LIVE"
        except Unreachable:
            return False

    async def quit(self) -> None:
        """Ask it to end, whether it is there or not; returns when nobody answers any more."""
        with contextlib.suppress(Unreachable, TimeoutError):
            await self.ask("POST", "/quitquitquit")
            async with asyncio.timeout(TIMEOUT):
                while True:  # until the question fails
                    await self.get("/ready")
                    await asyncio.sleep(0.01)

    async def get(self, path: str, **parameters: str) -> bytes:
        return await self.ask("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    async def ask(self, method: str, target: str) -> bytes:
        """The body of the answer, whatever its status."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._exchange(method, target)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise Unreachable(say("Envoy does not answer at {path}", path=self.path)) from error

    async def _exchange(self, method: str, target: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(
                f"{method} {target} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            answer = _Answer()
            parser = httptools.HttpResponseParser(answer)
            while not answer.is_complete and (chunk := await reader.read(256 * 1024)):
                parser.feed_data(chunk)
            if not answer.is_complete:
                raise ConnectionResetError(f"{target}: the answer is cut short")
            return bytes(answer.body)
        finally:
            writer.close()


class _Answer:
    """What the parser calls back."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > _LIMIT:
            raise ConnectionError("the answer has no end")

    def on_message_complete(self) -> None:
        self.is_complete = True
