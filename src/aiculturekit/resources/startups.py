"""The start of a PostgreSQL session, up to the moment in which the server is ready for a query: as much of its protocol as it takes to
know whether a user may enter a database. (https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP)
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import struct
from collections.abc import Iterator

from aiculturekit.resources import scram
from aiculturekit.resources.greetings import Unwelcome

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
_TLS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_OK, _PLAIN, _MD5, _SASL, _SASL_GOES_ON, _SASL_ENDS = 0, 3, 5, 10, 11, 12
_MECHANISM = b"SCRAM-SHA-256"


async def postgres(reader: Reader, writer: Writer, *, user: str = "", password: str = "", database: str = "") -> str:
    """The server's version. Over TLS where the server has it, whoever it is: as `sslmode=prefer` does. Raises Unwelcome in the server's
    words, OSError."""
    writer.write(_TLS)
    await writer.drain()
    answer = await reader.readexactly(1)
    if answer not in (b"S", b"N"):
        raise Unwelcome("it does not speak PostgreSQL")
    if answer == b"S":
        await writer.start_tls(_anybody())
    words = {"user": user, "database": database or user, "application_name": "aic"}
    body = struct.pack("!I", 196608) + b"".join(f"{k}\0{v}\0".encode() for k, v in words.items()) + b"\0"
    writer.write(struct.pack("!I", len(body) + 4) + body)
    await _enter(reader, writer, user=user, password=password)
    return await _version(reader, writer)


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _enter(reader: Reader, writer: Writer, *, user: str, password: str) -> None:
    client = scram.Client(password)
    while True:
        await writer.drain()
        kind, body = await _message(reader)
        if kind != b"R":
            raise Unwelcome("it does not speak PostgreSQL")
        (asked,) = struct.unpack("!I", body[:4])
        if asked == _OK:
            return
        if asked == _PLAIN:
            _say(writer, password.encode() + b"\0")
        elif asked == _MD5:
            inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
            digest = hashlib.md5(inner.encode() + body[4:8], usedforsecurity=False).hexdigest()
            _say(writer, b"md5" + digest.encode() + b"\0")
        elif asked == _SASL and _MECHANISM in body[4:].split(b"\0"):
            first = client.first()
            _say(writer, _MECHANISM + b"\0" + struct.pack("!I", len(first)) + first)
        elif asked == _SASL_GOES_ON:
            _say(writer, client.final(body[4:]))
        elif asked != _SASL_ENDS:
            raise Unwelcome("it asks for another proof than a password")


async def _version(reader: Reader, writer: Writer) -> str:
    """Of its settings, which it tells before it is ready."""
    found = ""
    while True:
        kind, body = await _message(reader)
        if kind == b"S" and body.startswith(b"server_version\0"):
            found = body.split(b"\0")[1].decode("ascii", "replace")
        if kind == b"Z":
            writer.write(b"X\x00\x00\x00\x04")
            await writer.drain()
            return found


def _say(writer: Writer, body: bytes) -> None:
    writer.write(b"p" + struct.pack("!I", len(body) + 4) + body)


async def _message(reader: Reader) -> tuple[bytes, bytes]:
    """Raises Unwelcome for an error."""
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    if not 4 <= length <= 1 << 20:
        raise Unwelcome("it does not speak PostgreSQL")
    body = await reader.readexactly(length - 4)
    if kind == b"E":
        raise Unwelcome(next(_parts(body, b"M"), "it refuses"))
    return kind, body


def _parts(body: bytes, letter: bytes) -> Iterator[str]:
    return (part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part[:1] == letter)
