"""Passes connections on, from a socket that listens in one network to an address in another.

A socket stays in the network in which it was made. So whoever starts this script makes the socket in one network and runs the script in the
other: `python forwards.py DESCRIPTOR HOST PORT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys


async def _serve(listener: socket.socket, host: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            onward, back = await asyncio.open_connection(host, port)
            await asyncio.gather(_copied(reader, back), _copied(onward, writer))
        writer.close()

    server = await asyncio.start_server(connected, sock=listener)
    await server.serve_forever()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To its end, which is passed on too."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    descriptor, host, port = sys.argv[1:]
    asyncio.run(_serve(socket.socket(fileno=int(descriptor)), host, int(port)))
