"""One statement at a time over a MySQL session, and its answer. (The text protocol:
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase_text.html)

The session was opened without leave for several statements at once: the server refuses what has more than one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from aiculturekit.errors import Failed, Mistake
from aiculturekit.language import say
from aiculturekit.resources import handshakes
from aiculturekit.resources.greetings import Unwelcome

_LONGEST = 4 * 2**20
"""Bytes of all rows together, beyond which an answer is refused rather than held."""
_CELL = 2000
_NUMBERS = frozenset({0, 1, 2, 3, 4, 5, 8, 9, 13, 246})
"""decimal, tiny, short, long, float, double, longlong, int24, year, newdecimal."""
_BINARY = 63
"""The character set of what is no text."""
_TEXTS = frozenset({249, 250, 251, 252, 253, 254, 255})
_QUERY = b"\x03"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """`columns` are (name, is it a number); None is no value. `is_cut`: there was more; the session is of no more use then."""

    columns: tuple[tuple[str, bool], ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    is_cut: bool = False
    changed: int = 0


class Session:
    """`thread` is what the server calls it. Not for concurrent use."""

    def __init__(self, line: handshakes.Line, thread: int) -> None:
        self._line, self.thread = line, thread

    async def ask(self, statement: str, *, rows: int = 0) -> Answer:
        """The first `rows` rows that it answers with (0: all). Raises Mistake in the server's words, or for too large an answer."""
        try:
            self._line.begin()
            await self._line.send(_QUERY + statement.encode())
            head = await self._line.receive()
            if head[:1] == b"\x00":
                return Answer(changed=_number(head, 1)[0])
            if head[:1] == b"\xfb":  # it asks for a file of ours
                await self._line.send(b"")
                await self._line.receive()
                raise Mistake(say("a statement cannot read files of the client"))
            return await self._table(_number(head, 0)[0], rows)
        except Unwelcome as error:
            raise Mistake(str(error)) from None

    async def _table(self, count: int, most: int) -> Answer:
        kinds = [_column(await self._line.receive()) for _ in range(count)]
        await self._line.receive()
        columns = tuple((name, is_number) for name, is_number, _ in kinds)
        rows: list[tuple[str | None, ...]] = []
        taken = 0
        while not _is_end(body := await self._line.receive()):
            taken += len(body)
            if taken > _LONGEST:
                raise Mistake(
                    say("the answer is larger than {size} MB", size=_LONGEST // 2**20),
                    hint=say("ask for fewer columns or rows, or cut long values: left(column, 100)"),
                )
            if most and len(rows) == most:
                return Answer(columns, tuple(rows), is_cut=True)
            rows.append(_row(body, [is_binary for _, _, is_binary in kinds]))
        return Answer(columns, tuple(rows))


@contextlib.asynccontextmanager
async def session(
    socket: Path, *, user: str, password: str, database: str = "", seconds: float = 30.0
) -> AsyncIterator[Session]:
    """A session through a socket of this machine, for `seconds` at most. Raises Failed, Mistake."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                line = handshakes.Line(reader, writer)
                found = await handshakes.enter(line, user=user, password=password, database=database, is_private=True)
                yield Session(line, found.thread)
            finally:
                writer.close()
    except TimeoutError:
        raise Failed(say("the server did not answer within {seconds:g} s", seconds=seconds)) from None
    except (OSError, EOFError, Unwelcome) as error:
        raise Failed(
            say("the server does not answer: {error}", error=str(error)), hint=say("`aic ps` shows how it is")
        ) from error


def _is_end(body: bytes) -> bool:
    return body[:1] == b"\xfe" and len(body) < 9


def _column(body: bytes) -> tuple[str, bool, bool]:
    """(name, is it a number, is it no text)."""
    at = 0
    texts = []
    for _ in range(6):
        raw, at = _text(body, at)
        texts.append(raw or b"")
    charset, _, kind = struct.unpack("<HIB", body[at + 1 : at + 8])
    return texts[4].decode("utf-8", "replace"), kind in _NUMBERS, charset == _BINARY and kind in _TEXTS


def _row(body: bytes, binaries: Sequence[bool]) -> tuple[str | None, ...]:
    found: list[str | None] = []
    at = 0
    for is_binary in binaries:
        raw, at = _text(body, at)
        found.append(None if raw is None else _cell(raw, is_binary))
    return tuple(found)


def _cell(raw: bytes, is_binary: bool) -> str:
    text = f"0x{raw[:_CELL].hex()}" if is_binary and not _is_plain(raw) else raw[: 4 * _CELL].decode("utf-8", "replace")
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def _is_plain(raw: bytes) -> bool:
    """Servers call much of what they say themselves binary that is text."""
    return all(32 <= byte < 127 or byte in (9, 10, 13) for byte in raw[:_CELL])


def _text(body: bytes, at: int) -> tuple[bytes | None, int]:
    if body[at : at + 1] == b"\xfb":
        return None, at + 1
    length, at = _number(body, at)
    return body[at : at + length], at + length


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and where it ends."""
    first = body[at]
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not width:
        return first, at + 1
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width
