"""A small stage for the mesh's tests: replicas, a client that keeps its connection, a load, an application to call through."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Entry, Match, Node, Refusal, Service, Version


def free_ports(count: int) -> Iterator[int]:
    """Below the range from which the kernel takes ports for outgoing connections, so that none is lost before its use."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10000, 20000)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            found.append(port)
    return iter(dict.fromkeys(found))


class Replica:
    """A server that answers every request with its name, the length of its body and the headers it saw; /fail with 500, what has
    "slow" in it after a while; /text with a long text; /events with an event whenever `next` is set."""

    def __init__(self, name: str) -> None:
        self.name, self.port, self.seen, self.events = name, 0, 0, 0
        self.last, self.next, self.always = dict[str, str](), asyncio.Event(), ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def die(self) -> None:
        """As after kill -9: the port is closed, every connection is reset."""
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def __aenter__(self) -> Replica:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
                self.seen += 1
                self.last = headers
                length = await _body(reader, headers)
                if headers.get("upgrade") == "websocket":
                    await self._echo(reader, writer)
                    break
                path = self.always or first.split()[1]
                if path == "/events":
                    await self._tell(writer)
                if "slow" in path:
                    await asyncio.sleep(0.3)
                status = (
                    "500 No" if path.startswith("/fail") else "403 No" if path.startswith("/forbidden") else "200 OK"
                )
                body = json.dumps({"name": self.name, "path": path, "headers": headers, "body": length}).encode()
                if path == "/text":
                    body = b"long " * 1000
                fixed = f"server: secret\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}"
                writer.write(f"HTTP/1.1 {status}\r\n{fixed}\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while True:
            writer.write(b"data: %d\n\n" % self.events)
            self.events += 1
            self.next.clear()
            await self.next.wait()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data.upper())


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> int:
    """Read it; its length."""
    if "chunked" not in headers.get("transfer-encoding", ""):
        return len(await reader.readexactly(int(headers.get("content-length", 0))))
    return len(await _chunks(reader))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return found


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes, cookies: dict[str, str]) -> None:
        self.status, self.headers, self.body, self.cookies = status, headers, body, cookies

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


class Client:
    """One kept connection; a request that finds it closed by the other side is made on a new one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str = "/", *, method: str = "GET", host: str = "x", **headers: str) -> Answer:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n{extra}\r\n".encode()
        async with asyncio.timeout(10):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            answer = await answered(reader)
            if answer.headers.get("connection") == "close":
                self.close()
            return answer

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None


async def answered(reader: asyncio.StreamReader) -> Answer:
    """The next answer on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    pairs = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in head[1:])]
    found = dict(pairs)
    given = [value.split(";")[0].partition("=") for name, value in pairs if name == "set-cookie"]
    is_chunked = found.get("transfer-encoding") == "chunked"
    body = await (_chunks(reader) if is_chunked else reader.readexactly(int(found.get("content-length", 0))))
    return Answer(int(head[0].split()[1]), found, body, {name: value for name, _, value in given})


async def send(port: int, parts: list[bytes], *, chunked: bool = False) -> Answer:
    """POST a body, in chunks that do not say how many come, or as a whole."""
    size = "transfer-encoding: chunked" if chunked else f"content-length: {sum(map(len, parts))}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST / HTTP/1.1\r\nhost: x\r\n{size}\r\n\r\n".encode())
    for part in parts:
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
    writer.write(b"0\r\n\r\n" if chunked else b"")
    try:
        async with asyncio.timeout(10):
            return await answered(reader)
    finally:
        writer.close()


async def get(port: int, target: str = "/", **options: str) -> Answer:
    client = Client(port)
    try:
        return await client.get(target, **options)
    finally:
        client.close()


class Stage:
    """gw -> orders (v1, v2) and pay; ingress -> gw; orders may call nobody."""

    def __init__(self) -> None:
        self.ports = dict(zip(self._names(), free_ports(24), strict=False))

    @staticmethod
    def _names() -> list[str]:
        return [
            "ingress",
            "gw",
            "orders1",
            "orders2",
            "pay",
            "gw-proxy",
            "gw-orders",
            "gw-pay",
            "orders-proxy",
            "db",
            "gw-db",
            "extra",
        ]

    def node(self, **changes: object) -> Node:
        p = self.ports
        orders = {"callers": ("gw",), "versions": (Version("v1", p["orders1"]),), **changes}
        return Node(
            ingress_port=p["ingress"],
            services=(
                Service("shop", "gw", (Version("v1", p["gw"]),), callers=("ingress",)),
                Service("shop", "orders", **orders),
                Service("shop", "pay", (Version("v1", p["pay"]),), callers=("gw",)),
                Service("shop", "db", (Version("v1", p["db"]),), callers=("gw",), protocol="tcp"),
            ),
            callers=(
                Caller("shop", "gw", p["gw-proxy"], {"orders": p["gw-orders"], "pay": p["gw-pay"], "db": p["gw-db"]}),
                Caller("shop", "orders", p["orders-proxy"]),
            ),
            entries=(Entry("shop", "/", "gw"), Entry("shop", "/api/orders", "orders")),
        )

    def split(self, first: float, second: float, match: Match | None = None) -> tuple[Version, ...]:
        v2 = Version("v2", self.ports["orders2"], second, match)
        return Version("v1", self.ports["orders1"], first), v2


async def publish(mesh: Mesh, name: str, *replicas: Replica, version: str = "v1") -> None:
    await mesh.publish("shop", name, version=version, ports=[replica.port for replica in replicas])


async def until(condition: Callable[[], object], *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.02)


async def until_async(condition: Callable[[], Awaitable[object]], *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.02)


class Load:
    """Some clients that ask, each with `pause` seconds between; every answer that is not `expected` and every broken connection is counted."""

    def __init__(self, port: int, *, clients: int = 8, expected: int = 200, pause: float = 0.0) -> None:
        self._port, self._expected, self._pause = port, expected, pause
        self._clients, self._tasks = clients, list[asyncio.Task[None]]()
        self.done, self.failed, self.names = 0, list[str](), Counter[object]()

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self) -> None:
        client = Client(self._port)
        while True:
            try:
                answer = await client.get()
                self.done += 1
                if answer.status != self._expected:
                    self.failed.append(f"{answer.status} {answer.body[:80]!r}")
                else:
                    self.names[answer.json["name"]] += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failed.append(repr(error))
                client.close()
            if self._pause:
                await asyncio.sleep(self._pause)


@contextlib.asynccontextmanager
async def running(home: Path) -> AsyncIterator[Mesh]:
    """A mesh with its Envoy, which found nothing to complain of in our documents."""
    mesh = Mesh(home=home, node="test")
    await mesh.start()
    try:
        yield mesh
    finally:
        await mesh.stop()
        said = (home / "mesh" / "envoy.log").read_text()
        assert "Unknown field" not in said, said
        assert "deprecated" not in said.lower(), said


@contextlib.asynccontextmanager
async def refused(mesh: Mesh) -> AsyncIterator[list[Refusal]]:
    """The refusals that are reported meanwhile; at the end there is at least one."""
    seen: list[Refusal] = []

    async def listen() -> None:
        async for refusal in mesh.refusals():
            seen.append(refusal)

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    try:
        yield seen
        await until(lambda: seen)
    finally:
        listener.cancel()
