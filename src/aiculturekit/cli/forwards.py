"""A port of this machine that leads to one in a network namespace, one connection at a time and byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from aiculturekit import namespaces
from aiculturekit.language import say

_CHUNK = 64 * 1024


def run(door: int | None, port: int, *, local: int, workload: str) -> None:
    """Until it is interrupted. `door` is a file descriptor of the network namespace, None for this process's own: a restart of the
    workload does not matter. Raises OSError where `local` can't be had."""
    asyncio.run(_forward(door, port, local=local, workload=workload))


async def _forward(door: int | None, port: int, *, local: int, workload: str) -> None:

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            there = namespaces.connection(Path(f"/proc/self/fd/{door}")) if door is not None else _plain()
            await asyncio.get_running_loop().sock_connect(there, ("127.0.0.1", port))
            inner, outer = await asyncio.open_connection(sock=there)
            with contextlib.closing(outer):
                await asyncio.gather(_pass_on(reader, outer), _pass_on(inner, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", local)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told = say("{place} leads to port {port} of {workload}; Ctrl-C ends it", place=place, port=port, workload=workload)
    print(told, flush=True)
    await server.serve_forever()


def _plain() -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    return made


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
