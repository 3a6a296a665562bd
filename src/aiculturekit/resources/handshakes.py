"""The start of a MySQL session: who the server is, and whether it lets a user in. MariaDB's is the same.

Proofs are those of a password: mysql_native_password, and caching_sha2_password, which wants the password itself where it does not know
it yet; it is told over TLS or a socket of this machine only.
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html, https://mariadb.com/kb/en/connection/)
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import ssl
import struct

from aiculturekit.resources.greetings import Unwelcome

_LONGEST = 1 << 24
_TLS = 0x800
_WITH_DATABASE = 0x8
_ABILITIES = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x80000
"""Long passwords and flags, protocol 4.1, transactions, proofs by plugin. Not: several statements at once, files of the client."""
_UTF8MB4 = 45
_NATIVE, _SHA2, _PLAIN = "mysql_native_password", "caching_sha2_password", "mysql_clear_password"
_OK, _MORE, _SWITCH, _ERROR = 0x00, 0x01, 0xFE, 0xFF
_KNOWN, _TELL = 3, 4


@dataclasses.dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says first. `thread` is the number of the session."""

    version: str
    thread: int
    abilities: int
    plugin: str
    salt: bytes


class Line:
    """Packets to and from a server, numbered as it wants them. Not for concurrent use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._number = reader, writer, 0

    def begin(self) -> None:
        """What is sent next is a command."""
        self._number = 0

    async def send(self, body: bytes) -> None:
        self._writer.write(struct.pack("<I", len(body))[:3] + bytes([self._number]) + body)
        self._number = (self._number + 1) % 256
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Raises Unwelcome in the server's words, EOFError for an end in the middle."""
        head = await self._reader.readexactly(4)
        length, self._number = int.from_bytes(head[:3], "little"), (head[3] + 1) % 256
        if length >= _LONGEST - 1:
            raise Unwelcome("its answer is too large")
        body = await self._reader.readexactly(length)
        if body[:1] == b"\xff":
            raise Unwelcome(_trouble(body))
        return body

    async def secure(self) -> None:
        """TLS with whoever it is, as a client that prefers it does."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self._writer.start_tls(context)


async def enter(line: Line, *, user: str, password: str, database: str = "", is_private: bool = False) -> Greeting:
    """The session is open for commands. `is_private`: nobody can listen, so that no TLS is needed. Raises Unwelcome, OSError."""
    greeting = _greeting(await line.receive())
    abilities = _ABILITIES | (_WITH_DATABASE if database else 0)
    if greeting.abilities & _TLS and not is_private:
        abilities |= _TLS
        await line.send(_head(abilities))
        await line.secure()
        is_private = True
    proof = _proof(greeting.plugin, password, greeting.salt)
    words = user.encode() + b"\0" + bytes([len(proof)]) + proof
    words += database.encode() + b"\0" if database else b""
    await line.send(_head(abilities) + words + greeting.plugin.encode() + b"\0")
    await _prove(line, greeting, password, is_private=is_private)
    return greeting


async def mysql(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    user: str = "",
    password: str = "",
    database: str = "",
) -> str:
    """The server's version. Raises Unwelcome in the server's words, OSError."""
    greeting = await enter(Line(reader, writer), user=user, password=password, database=database)
    return greeting.version


def _greeting(body: bytes) -> Greeting:
    if body[:1] != b"\x0a":
        raise Unwelcome("it does not speak MySQL")
    version, _, rest = body[1:].partition(b"\0")
    if len(rest) < 31:
        raise Unwelcome("it does not speak MySQL")
    thread, first, low, _, _, high, length = struct.unpack("<I8sxHBHHB", rest[:21])
    second, _, plugin = rest[31:].partition(b"\0")
    return Greeting(
        version.decode("ascii", "replace").removeprefix("5.5.5-"),
        thread,
        low | high << 16,
        plugin.rstrip(b"\0").decode("ascii", "replace") or _NATIVE,
        first + second[: max(12, length - 9)],
    )


def _head(abilities: int) -> bytes:
    return struct.pack("<IIB23x", abilities, _LONGEST, _UTF8MB4)


async def _prove(line: Line, greeting: Greeting, password: str, *, is_private: bool) -> None:
    while True:
        body = await line.receive()
        kind = body[0] if body else _ERROR
        if kind == _OK:
            return
        if kind == _SWITCH:
            plugin, _, salt = body[1:].partition(b"\0")
            await line.send(
                _proof(plugin.decode("ascii", "replace"), password, salt.rstrip(b"\0"), is_private=is_private)
            )
        elif kind == _MORE and body[1:2] == bytes([_TELL]):
            await line.send(_told(password, is_private=is_private))
        elif kind != _MORE or body[1:2] != bytes([_KNOWN]):
            raise Unwelcome("it asks for another proof than a password")


def _proof(plugin: str, password: str, salt: bytes, *, is_private: bool = False) -> bytes:
    if not password:
        return b""
    if plugin == _PLAIN:
        return _told(password, is_private=is_private)
    if plugin not in (_NATIVE, _SHA2):
        return b""
    name = "sha1" if plugin == _NATIVE else "sha256"
    once = hashlib.new(name, password.encode()).digest()
    twice = hashlib.new(name, once).digest()
    mask = hashlib.new(name, salt + twice if plugin == _NATIVE else twice + salt).digest()
    return bytes(one ^ other for one, other in zip(once, mask, strict=True))


def _told(password: str, *, is_private: bool) -> bytes:
    if not is_private:
        raise Unwelcome("it wants the password itself, and has no TLS")
    return password.encode() + b"\0"


def _trouble(body: bytes) -> str:
    said = body[3:]
    return (said[6:] if said[:1] == b"#" else said).decode("utf-8", "replace")
