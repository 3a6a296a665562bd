"""Servers that stand elsewhere and are not what they should be: small ones, of this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from aiculturekit.errors import Failed
from aiculturekit.resources import outside

PASSWORD = "quite-a-secret"


@contextlib.asynccontextmanager
async def answering(*said: bytes) -> AsyncIterator[int]:
    """A port of loopback that says these, each after something was read; the first at once when it is b""."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for words in said:
            await reader.read(4096)
            writer.write(words)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("kind", "scheme", "said", "reason"),
    [
        ("redis", "redis", b"-WRONGPASS invalid username-password pair\r\n", "WRONGPASS"),
        ("redis", "redis", b"-ERR %s is what you said\r\n" % PASSWORD.encode(), "ERR *** is what you said"),
        ("redis", "redis", b"", "closed the connection"),
        ("postgres", "postgresql", b"H", "does not speak PostgreSQL"),
        ("s3", "s3", b"HTTP/1.1 403 Forbidden\r\n\r\n", "key or secret"),
        ("s3", "s3", b"HTTP/1.1 404 Not Found\r\n\r\n", "no bucket b"),
        ("s3", "s3", b"220 hello\r\n", "does not speak S3"),
    ],
)
async def test_a_server_that_refuses_is_named_without_the_password(
    kind: str, scheme: str, said: bytes, reason: str
) -> None:
    async with answering(said) as port:
        with pytest.raises(Failed) as raised:
            await outside.check("thing", kind, f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}/b")
    assert reason in str(raised.value) and PASSWORD not in str(raised.value)
    assert f"{scheme}://***@127.0.0.1:{port}/b" in str(raised.value)


async def test_nothing_there_and_nothing_said_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering() as port:
        pass
    with pytest.raises(Failed, match="nothing listens on its port"):
        await outside.check("thing", "mongodb", f"mongodb://127.0.0.1:{port}")
    monkeypatch.setattr(outside, "_WITHIN", 0.2)
    async with answering(b"", b"") as port:
        with pytest.raises(Failed, match="no answer within"):
            await outside.check("thing", "nats", f"nats://127.0.0.1:{port}")


async def test_the_version_is_told_where_the_server_says_it() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = b"\x0a11.4.2-MariaDB\0rest of it"
        writer.write(len(packet).to_bytes(3, "little") + b"\0" + packet)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await outside.check("thing", "mysql", f"mysql://u:p@127.0.0.1:{port}/db") == "11.4.2-MariaDB"
