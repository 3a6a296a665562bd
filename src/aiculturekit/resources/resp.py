"""As much of the Redis protocol (RESP2) as settling and checking a server takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path


class Answer(Exception):
    """An error that the server answered, in its words."""


class Loading(Answer):
    """It still reads its data."""


async def ask(place: Path, *commands: Sequence[str], seconds: float = 30.0) -> list[str]:
    """What a server answers at its Unix socket. Raises Answer for the first error, OSError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_unix_connection(place)
        try:
            return [await exchange(reader, writer, command) for command in commands]
        finally:
            writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: Sequence[str]) -> str:
    """One command with one answer, which is text. Raises Answer, OSError."""
    words = [word.encode() for word in command]
    writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    await writer.drain()
    line = (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n")
    if not line:
        raise ConnectionResetError("it closed the connection")
    if line[0] == "-":
        raise (Loading if line.startswith("-LOADING") else Answer)(line[1:])
    if line[0] != "$":
        return line[1:]
    try:
        return (await reader.readexactly(int(line[1:]) + 2))[:-2].decode("utf-8", "replace")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("it closed the connection") from None
