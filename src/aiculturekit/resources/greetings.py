"""The first words of each protocol, as a client that wants no more than to know: is it that server, of which version, does it let me in?

Each takes a connection and answers the server's version, "" where it does not say. Raises Unwelcome in the server's words, OSError.
"""

from __future__ import annotations

import asyncio
import json
import re

from aiculturekit.resources import resp

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Unwelcome(Exception):
    """The server is there and refuses, or it is another one. What it said holds no password."""


async def nats(reader: Reader, writer: Writer, *, user: str = "", password: str = "", database: str = "") -> str:
    """https://docs.nats.io/reference/reference-protocols/nats-protocol"""
    line = (await reader.readline()).decode("utf-8", "replace")
    if not line.startswith("INFO "):
        raise Unwelcome("it does not speak NATS")
    about = json.loads(line[5:])
    named = {"user": user, "pass": password} if password else {"auth_token": user} if user else {}
    writer.write(f"CONNECT {json.dumps({'verbose': False, 'pedantic': False, **named})}\r\nPING\r\n".encode())
    await writer.drain()
    answer = (await reader.readline()).decode("utf-8", "replace").strip()
    if answer != "PONG":
        raise Unwelcome(answer.removeprefix("-ERR ").strip("'") or "it closed the connection")
    return str(about.get("version", ""))


async def redis(reader: Reader, writer: Writer, *, user: str = "", password: str = "", database: str = "") -> str:
    named = [user, password] if user else [password]
    try:
        if password:
            await resp.exchange(reader, writer, ["AUTH", *named])
        await resp.exchange(reader, writer, ["PING"])
    except resp.Answer as error:
        raise Unwelcome(str(error)) from None
    try:
        about = await resp.exchange(reader, writer, ["INFO", "server"])
    except resp.Answer:  # a user who may not ask
        return ""
    said: dict[str, str] = dict(
        re.findall(r"^(valkey|redis)_version:(\S+)", about, re.M)
    )  # Valkey also says which Redis it is like
    return said.get("valkey") or said.get("redis", "")


async def mysql(reader: Reader, writer: Writer, *, user: str = "", password: str = "", database: str = "") -> str:
    """The server speaks first, and says its version
    (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html); who may
    enter only its own client can find out."""
    length = int.from_bytes((await reader.readexactly(4))[:3], "little")
    packet = await reader.readexactly(length)
    if packet[:1] != b"\x0a":
        raise Unwelcome(packet[3:].decode("utf-8", "replace") if packet[:1] == b"\xff" else "it does not speak MySQL")
    return packet[1:].partition(b"\0")[0].decode("ascii", "replace")
