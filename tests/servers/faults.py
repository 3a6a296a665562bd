"""Stands before a cluster's API server, and lets requests fare as a test wants: answered with 429 or 500, broken off before or after the
server heard of them, or late."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.servers.clusters import Cluster

Fate = Literal["well", "429", "500", "reset", "lost", "late"]
"""`reset`: the connection breaks before the server heard of it; `lost`: after it did what it was asked for."""


class Faults:
    """`choose` is asked for each request, by its method. `done` counts what became of them."""

    def __init__(self, cluster: Cluster, *, choose: Callable[[str], Fate]) -> None:
        self.host, _, port = str(cluster.api.base_url).rstrip("/").removeprefix("https://").partition(":")
        self.port, self._context, self._choose = int(port), _context(cluster), choose
        self.done = Counter[Fate]()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    @contextlib.contextmanager
    def beside(self) -> Iterator[str]:
        """The same for who has no loop of events: in a thread."""
        is_there, is_over = threading.Event(), threading.Event()
        found: list[str] = []

        async def serve() -> None:
            async with self.serving() as server:
                found.append(server)
                is_there.set()
                await asyncio.to_thread(is_over.wait)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert is_there.wait(30)
            yield found[0]
        finally:
            is_over.set()
            thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            there, back = await asyncio.open_connection(self.host, self.port, ssl=self._context)
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    request = head + await reader.readexactly(_length(head))
                    if not await self._pass(request, writer, there, back):
                        break
            finally:
                back.close()
        writer.close()

    async def _pass(self, request: bytes, writer: Any, there: asyncio.StreamReader, back: Any) -> bool:
        """Whether the connection goes on."""
        kind = self._choose(request.partition(b" ")[0].decode())
        self.done[kind] += 1
        if kind in ("429", "500"):
            writer.write(_answer(kind))
            await writer.drain()
            return True
        if kind == "reset":  # before the server heard of it
            writer.transport.abort()
            return False
        back.write(request)
        answer = await _read(there)
        if kind == "lost":  # after it did what it was asked for
            writer.transport.abort()
            return False
        if kind == "late":
            await asyncio.sleep(1)
        writer.write(answer)
        await writer.drain()
        return True


def _answer(status: str) -> bytes:
    body = json.dumps(
        {"kind": "Status", "status": "Failure", "message": "as the test wants", "code": int(status)}
    ).encode()
    more = "retry-after: 1\r\n" if status == "429" else ""
    return (
        f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _length(head: bytes) -> int:
    for line in head.decode("latin-1").lower().split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.partition(":")[2])
    return 0


async def _read(there: asyncio.StreamReader) -> bytes:
    """One answer, whole."""
    head = await there.readuntil(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return head + await there.readexactly(_length(head))
    found = head
    while True:
        line = await there.readline()
        chunk = await there.readexactly(int(line.strip() or b"0", 16) + 2)
        found += line + chunk
        if line.strip() == b"0":
            return found


def kubeconfig(cluster: Cluster, server: str, folder: Path) -> Path:
    """Of the cluster behind the proxy, which logs in for everybody."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": server}
    config["users"][0]["user"] = {}
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return folder / "kubeconfig"


def _context(cluster: Cluster) -> ssl.SSLContext:
    pki = cluster.place.folder / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context
