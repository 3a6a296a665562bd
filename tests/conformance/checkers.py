"""An external authorizer that decides by the path that it is asked about."""

from __future__ import annotations

import asyncio

from tests.conformance.replicas import Request

PORT = 9090
ADDRESS = f"http://127.0.0.1:{PORT}/check"


class Checker:
    """/check/no is refused, /check/login sent elsewhere, /check/anonymous let pass without a name; anything else is ann."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.waits = 0.0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Checker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", PORT)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
                method, path, _ = lines[0].split()
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:]) if key}
                self.asked.append(Request(method, path, headers, 0))
                await asyncio.sleep(self.waits)
                writer.write(_answer(path))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def _answer(path: str) -> bytes:
    if path.startswith("/check/no"):
        return b"HTTP/1.1 418 No\r\nx-why: because\r\ncontent-length: 2\r\n\r\nno"
    if path.startswith("/check/login"):
        return b"HTTP/1.1 302 Found\r\nlocation: https://login.example/\r\ncontent-length: 0\r\n\r\n"
    if path.startswith("/check/anonymous"):
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nx-user: ann\r\nx-other: 1\r\ncontent-length: 0\r\n\r\n"
