r"""PostgreSQL's protocol on a unix socket, as far as asking one statement needs it.

Why not `psql`: what somebody types into a page must not reach a program that knows `\!`, and a process for each look is dear. Why no
driver: the extended protocol takes exactly one statement and a number of rows, which is what has to be enforced, and is this page long.
(https://www.postgresql.org/docs/18/protocol-message-formats.html)
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiculturekit.errors import Failed, Mistake
from aiculturekit.language import say
from aiculturekit.resources.inspections.shapes import Column, Table

_PROTOCOL = 196608
_NUMBERS = frozenset({20, 21, 23, 26, 700, 701, 1700})
"""The object ids of int8, int2, int4, oid, float4, float8 and numeric (pg_type.dat)."""
_LONGEST = 4 * 2**20
"""Bytes of one message, and of all rows together, beyond which an answer is refused rather than held."""
_CELL = 2000


class Wire:
    """One session. Not for concurrent use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def begin(self, *, user: str, database: str, settings: Mapping[str, str]) -> None:
        """Raises Failed in the server's words."""
        given = {"user": user, "database": database, "application_name": "aic", "client_encoding": "UTF8", **settings}
        body = struct.pack("!i", _PROTOCOL) + b"".join(_text(word) for pair in given.items() for word in pair) + b"\0"
        self._writer.write(struct.pack("!i", len(body) + 4) + body)
        try:
            await self._until_ready()
        except Mistake as error:
            raise Failed(error.message) from None

    async def run(self, script: str) -> None:
        """Statements of ours whose answer does not matter."""
        self._writer.write(_message(b"Q", _text(script)))
        await self._until_ready()

    async def ask(self, statement: str, *, rows: int = 0) -> Table:
        """The first `rows` rows that one statement answers with (0: all). Raises Mistake in the server's words."""
        self._writer.write(
            _message(b"P", b"\0" + _text(statement) + struct.pack("!h", 0))
            + _message(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0))
            + _message(b"D", b"P\0")
            + _message(b"E", b"\0" + struct.pack("!i", rows and rows + 1))
            + _message(b"S", b"")
        )
        found = await self._until_ready()
        return dataclasses.replace(found, rows=found.rows[:rows], is_cut=True) if 0 < rows < len(found.rows) else found

    async def _until_ready(self) -> Table:
        columns: tuple[Column, ...] = ()
        rows: list[tuple[str | None, ...]] = []
        trouble, note, taken = "", "", 0
        while True:
            kind, body = await self._next()
            taken += len(body)
            if taken > _LONGEST:
                raise _too_much()
            match kind:
                case b"T":
                    columns = _columns(body)
                case b"D":
                    rows.append(_row(body))
                case b"C":
                    note = body.rstrip(b"\0").decode("utf-8", "replace")
                case b"E":
                    trouble = trouble or _said(body)
                case b"H":
                    trouble = trouble or say("COPY is not for here: ask with SELECT")
                case b"G" | b"W":
                    self._writer.write(_message(b"f", _text("no")))
                case b"R" if body[:4] != b"\0\0\0\0":
                    raise Failed(say("the server asks for a password where none was expected"))
                case b"Z" if trouble:
                    raise Mistake(trouble)
                case b"Z":
                    return Table(columns, tuple(rows), note=note)

    async def _next(self) -> tuple[bytes, bytes]:
        head = await self._reader.readexactly(5)
        length = struct.unpack("!i", head[1:])[0] - 4
        if length > _LONGEST:
            raise _too_much()
        return head[:1], await self._reader.readexactly(length)


@contextlib.asynccontextmanager
async def session(
    sockets: Path,
    *,
    port: int,
    user: str,
    database: str,
    seconds: float,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Wire]:
    """A session of `user`, who needs no password there, for `seconds` at most. Raises Failed, Mistake."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(sockets / f".s.PGSQL.{port}")
            try:
                wire = Wire(reader, writer)
                await wire.begin(user=user, database=database, settings=settings or {})
                yield wire
            finally:
                writer.close()
    except TimeoutError:
        raise Failed(say("the server did not answer within {seconds:g} s", seconds=seconds)) from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Failed(
            say("the server does not answer: {error}", error=str(error)), hint=say("`aic ps` shows how it is")
        ) from error


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _text(word: str) -> bytes:
    """Raises Mistake for one that the protocol cannot carry."""
    if "\0" in word:
        raise Mistake(say("a statement cannot hold a zero character"))
    return word.encode() + b"\0"


def _columns(body: bytes) -> tuple[Column, ...]:
    found, rest = [], body[2:]
    while rest:
        name, _, rest = rest.partition(b"\0")
        kind = struct.unpack("!i", rest[6:10])[0]
        found.append(Column(name.decode("utf-8", "replace"), kind in _NUMBERS))
        rest = rest[18:]
    return tuple(found)


def _row(body: bytes) -> tuple[str | None, ...]:
    values: list[str | None] = []
    at = 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        length = struct.unpack("!i", body[at : at + 4])[0]
        at += 4
        values.append(None if length < 0 else _cell(body[at : at + length]))
        at += max(length, 0)
    return tuple(values)


def _cell(raw: bytes) -> str:
    text = raw[: 4 * _CELL].decode("utf-8", "replace")
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def _said(body: bytes) -> str:
    """The message of an error, with its detail and hint where it has them."""
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    return ". ".join(fields[key].rstrip(".") for key in (b"M", b"D", b"H") if key in fields)


def _too_much() -> Mistake:
    return Mistake(
        say("the answer is larger than {size} MB", size=_LONGEST // 2**20),
        hint=say("ask for fewer columns or rows, or cut long values: left(column, 100)"),
    )
