"""Servers that stand elsewhere and are not what they should be: small ones, of this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import struct
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


async def mysql(proofs: list[bytes], plugin: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One that lets everybody in, and notes the proofs; its salts are twenty `s`. There is no TLS."""

    def say(number: int, body: bytes) -> None:
        writer.write(len(body).to_bytes(3, "little") + bytes([number]) + body)

    rest = struct.pack("<I8sxHBHHB10x", 7, b"s" * 8, 0xF7FF, 45, 2, 0x0008, 21) + b"s" * 12 + b"\0" + plugin + b"\0"
    say(0, b"\x0a5.5.5-11.4.2-MariaDB\0" + rest)
    head = await reader.readexactly(4)
    said = await reader.readexactly(int.from_bytes(head[:3], "little"))
    _, _, after = said[32:].partition(b"\0")
    proofs.append(after[1 : 1 + after[0]])
    if plugin == b"caching_sha2_password":
        say(2, b"\x01\x04")
        await reader.read(4)
    else:
        say(2, b"\0\0\0\2\0\0\0")
    await writer.drain()
    writer.close()


async def test_a_mysql_is_entered_with_a_proof_and_never_told_the_password_in_the_open() -> None:
    proofs: list[bytes] = []
    greet = functools.partial(mysql, proofs, b"mysql_native_password")
    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"mysql://u:{PASSWORD}@127.0.0.1:{server.sockets[0].getsockname()[1]}/db"
        assert await outside.check("thing", "mysql", url) == "11.4.2-MariaDB"
    once = hashlib.sha1(PASSWORD.encode()).digest()
    mask = hashlib.sha1(b"s" * 20 + hashlib.sha1(once).digest()).digest()
    assert proofs == [bytes(one ^ other for one, other in zip(once, mask, strict=True))]
    greet = functools.partial(mysql, proofs, b"caching_sha2_password")
    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"mysql://u:{PASSWORD}@127.0.0.1:{server.sockets[0].getsockname()[1]}/db"
        with pytest.raises(Failed, match="has no TLS"):
            await outside.check("thing", "mysql", url)


async def test_what_is_no_mysql_is_said() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x08\0\0\0+OK hello")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Failed, match="does not speak MySQL"):
            await outside.check("thing", "mysql", f"mysql://u:{PASSWORD}@127.0.0.1:{port}/db")
