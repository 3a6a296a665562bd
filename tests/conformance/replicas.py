"""A replica that answers what it saw, and fails as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json

from tests.conformance import streams


@dataclasses.dataclass
class Behaviour:
    """`status` for every answer, or only for every `every`-th; each after `delay` seconds. `hang_up`: the connection ends instead of an
    answer. `body` is sent instead of what was seen."""

    status: int = 200
    every: int = 1
    delay: float = 0.0
    hang_up: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    size: int

    @property
    def caller(self) -> str:
        """The path of the caller's SPIFFE ID, as the replica's own proxy vouches for it."""
        shown = self.headers.get("x-forwarded-client-cert", "")
        uris = [part.partition("=")[2] for part in shown.split(",")[-1].split(";") if part.startswith("URI=")]
        return "/" + uris[0].partition("://")[2].partition("/")[2] if uris else ""


class Replica:
    """HTTP/2 in plain text, HTTP/1.1 with its `Upgrade: websocket`, event streams on /events, and whatever is no HTTP comes back in capital letters."""

    def __init__(self, version: str, name: str, *, port: int) -> None:
        self.version, self.name, self.port = version, name, port
        self.behaviour = Behaviour()
        self.seen: list[Request] = []
        self.active = self.most_active = self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        self.behaviour, self.seen, self.most_active = Behaviour(), [], 0

    async def __aenter__(self) -> Replica:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        first = await reader.readline()
        if not first:
            return False
        if first.startswith(streams.PREFACE):
            await streams.serve(first, reader, writer, answered=self._shown)
            return False
        if not first.strip().endswith(b"HTTP/1.1"):
            writer.write(self.name.encode() + b" " + first.upper())
            return True
        rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest.split("\r\n"))}
        headers.pop("", None)
        method, path, _ = first.decode("latin1").split()
        body = await _body(reader, headers)
        request = Request(method, path, headers, len(body))
        self.seen.append(request)
        if headers.get("upgrade") == "websocket":
            await _upgraded(reader, writer)
            return False
        if path.startswith("/events"):
            await _events(writer)
            return False
        return await self._answer(writer, request)

    def _shown(self, headers: dict[str, str], size: int) -> bytes:
        """The answer to a request over HTTP/2."""
        request = Request(headers[":method"], headers[":path"], headers, size)
        self.seen.append(request)
        return self._told(request)

    def _told(self, request: Request) -> bytes:
        shown = {"version": self.version, "replica": self.name, **dataclasses.asdict(request)}
        return json.dumps(shown).encode()

    async def _answer(self, writer: asyncio.StreamWriter, request: Request) -> bool:
        wanted = self.behaviour
        is_struck = len(self.seen) % wanted.every == 0
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(wanted.delay)
        finally:
            self.active -= 1
        if wanted.hang_up and is_struck:
            writer.transport.abort()
            return False
        status = wanted.status if is_struck else 200
        body = self._told(request) if wanted.body is None else wanted.body
        given = (("content-type", "application/json"), ("content-length", str(len(body))), *wanted.headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in given)
        writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + (b"" if request.method == "HEAD" else body))
        await writer.drain()
        return True


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        found = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            found += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return found
    return await reader.readexactly(int(headers.get("content-length", 0)))


async def _upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    while data := await reader.read(1024):
        writer.write(data.upper())


async def _events(writer: asyncio.StreamWriter) -> None:
    """Two events, the second a while after the first."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: one\n\n")
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.write(b"data: two\n\n")
    await writer.drain()
