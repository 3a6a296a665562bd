"""As much of the Redis protocol (RESP2) as settling and checking a server takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LONGEST = 4 * 2**20


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
    writer.write(_packed(command))
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


async def answers(place: Path, *commands: Sequence[str], seconds: float) -> list[Any]:
    """The same for answers of any shape: text, numbers, lists of them, None; without that of the first, which says who asks. Raises
    Answer for the first error, OSError, TimeoutError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_unix_connection(place)
        try:
            writer.write(b"".join(_packed(command) for command in commands))
            found = [await _answer(reader, _Allowance(_LONGEST)) for _ in commands]
        finally:
            writer.close()
    return found[1:]


class _Allowance:
    """How many bytes an answer may still have."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Answer("the answer is too large")


async def _answer(reader: asyncio.StreamReader, allowance: _Allowance) -> Any:
    line = (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n")
    if not line:
        raise ConnectionResetError("it closed the connection")
    allowance.take(len(line))
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise Answer(rest)
    if kind == ":":
        return int(rest)
    if kind not in "$*":
        return rest
    count = int(rest)
    if count < 0:
        return None
    if kind == "*":
        return [await _answer(reader, allowance) for _ in range(count)]
    allowance.take(count)
    return (await reader.readexactly(count + 2))[:-2].decode("utf-8", "replace")


def _packed(command: Sequence[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
