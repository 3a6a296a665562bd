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
