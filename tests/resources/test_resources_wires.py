"""PostgreSQL's protocol against a server that answers what a real one would, or worse."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aiculturekit.errors import Failed, Mistake
from aiculturekit.resources.inspections import wires
from aiculturekit.resources.inspections.shapes import Column, Table

READY = (b"Z", b"I")
WELCOME = [(b"R", struct.pack("!i", 0)), (b"S", b"server_version\x0018\0"), READY]


def packed(*messages: tuple[bytes, bytes]) -> bytes:
    return b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages)


def described(*columns: tuple[str, int]) -> tuple[bytes, bytes]:
    fields = (name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, kind, 0, 0, 0) for name, kind in columns)
    return b"T", struct.pack("!h", len(columns)) + b"".join(fields)


def row(*cells: str | None) -> tuple[bytes, bytes]:
    parts = (
        struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell.encode())) + cell.encode()
        for cell in cells
    )
    return b"D", struct.pack("!h", len(cells)) + b"".join(parts)


class Server:
    """Greets with `welcome`, then answers whatever comes with `answer`; `heard` is what came."""

    def __init__(self, folder: Path, answer: bytes, *, welcome: bytes = packed(*WELCOME)) -> None:
        self.folder, self.answer, self.welcome, self.heard = folder, answer, welcome, b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        self.heard += await reader.readexactly(length - 4)
        writer.write(self.welcome)
        while data := await reader.read(65536):
            self.heard += data
            writer.write(self.answer)
        writer.close()

    async def ask(self, statement: str, *, rows: int = 0, seconds: float = 20) -> Table:
        async with (
            await asyncio.start_unix_server(self.serve, self.folder / ".s.PGSQL.7"),
            wires.session(self.folder, port=7, user="me", database="db", seconds=seconds) as wire,
        ):
            return await wire.ask(statement, rows=rows)


async def test_rows_and_numbers_and_nothing(tmp_path: Path) -> None:
    answer = packed(
        (b"1", b""), (b"2", b""), described(("id", 23), ("title", 25)), row("1", "eins"), row("2", None), (b"C", b"SELECT 2\0"), READY
    )  # fmt: skip
    server = Server(tmp_path, answer)
    found = await server.ask("SELECT * FROM books", rows=5)
    assert found == Table(
        (Column("id", True), Column("title")), (("1", "eins"), ("2", None)), is_cut=False, note="SELECT 2"
    )
    assert b"user\0me\0database\0db\0" in server.heard and b"SELECT * FROM books\0" in server.heard
    assert b"E" + struct.pack("!i", 9) + b"\0" + struct.pack("!i", 6) in server.heard, (
        "one more tells whether it is cut"
    )


async def test_more_rows_than_asked_for_are_cut_and_exactly_as_many_are_not(tmp_path: Path) -> None:
    answer = packed(described(("id", 23)), row("1"), row("2"), row("3"), (b"s", b""), READY)
    cut = await Server(tmp_path, answer).ask("SELECT", rows=2)
    assert (cut.rows, cut.is_cut) == ((("1",), ("2",)), True)
    assert not (await Server(tmp_path, answer).ask("SELECT", rows=3)).is_cut


async def test_the_servers_words_and_its_hint(tmp_path: Path) -> None:
    answer = packed((b"E", b"SERROR\0C42703\0Mno column x\0HPerhaps y.\0\0"), READY)
    with pytest.raises(Mistake) as error:
        await Server(tmp_path, answer).ask("SELECT x")
    assert error.value.message == "no column x. Perhaps y"


async def refused(server: Server, statement: str = "SELECT 1", **given: float) -> str:
    with pytest.raises((Mistake, Failed)) as error:
        await server.ask(statement, **given)  # type: ignore[arg-type]
    return error.value.message


CASES: list[tuple[Callable[[Path], Awaitable[str]], str]] = [
    (lambda at: refused(Server(at, b"D" + struct.pack("!i", 2**30))), "larger than"),
    (lambda at: refused(Server(at, packed(described(("x", 25)), *[row("y" * 2**20)] * 5, READY))), "larger than"),
    (lambda at: refused(Server(at, packed((b"H", b"\0\0\0"), (b"C", b"COPY 1\0"), READY))), "ask with SELECT"),
    (lambda at: refused(Server(at, packed(READY)), "SELECT '\0'"), "zero character"),
    (lambda at: refused(Server(at, b"", welcome=packed((b"R", struct.pack("!i", 10))))), "password"),
    (lambda at: refused(Server(at, b"", welcome=packed((b"E", b"Mno such role\0\0"), READY))), "no such role"),
    (lambda at: refused(Server(at, b""), seconds=0.3), "within 0.3 s"),
]


@pytest.mark.parametrize(("case", "said"), CASES)
async def test_what_does_not_work_is_said(tmp_path: Path, case: Callable[[Path], Awaitable[str]], said: str) -> None:
    assert said in await case(tmp_path)


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failed):
        async with wires.session(tmp_path, port=7, user="me", database="db", seconds=5):
            pass


async def test_a_long_cell_is_cut(tmp_path: Path) -> None:
    found = await Server(tmp_path, packed(described(("x", 25)), row("ä" * 5000), READY)).ask("SELECT")
    assert found.rows[0][0] == "ä" * 2000 + "…"
