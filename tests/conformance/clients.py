"""A client that sends exactly what it is told to, on a connection of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

PATIENCE = 20.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """`headers` in lower case; the values of one that comes several times are joined by a line break. `took` is seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    took: float

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def version(self) -> str:
        return str(self.json["version"]) if self.status == 200 else f"status {self.status}"

    @property
    def replica(self) -> str:
        return str(self.json["replica"]) if self.status == 200 else f"status {self.status}"

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the replica saw."""
        return self.json["headers"]


@dataclasses.dataclass(frozen=True)
class Door:
    """Where a caller's requests enter: the authority it asks for, and whether in the form that is meant for a forward proxy."""

    address: str
    port: int
    host: str
    is_proxy: bool = False


async def ask(door: Door, path: str, *, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(door.address, door.port)
        try:
            started = asyncio.get_running_loop().time()
            writer.write(_request(door, path, method=method, headers=headers, body=body))
            return await _answer(reader, method=method, started=started)
        finally:
            writer.close()


def _request(door: Door, path: str, *, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    given = {"host": door.host, "connection": "close"} | {name.lower(): value for name, value in headers.items()}
    if body or method in ("POST", "PUT", "PATCH"):
        given["content-length"] = str(len(body))
    target = f"http://{door.host}{path}" if door.is_proxy else path
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


async def _answer(reader: asyncio.StreamReader, *, method: str, started: float) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").strip().split("\r\n")
    found: dict[str, str] = {}
    for line in head[1:]:
        name, _, value = line.partition(": ")
        key = name.lower()
        found[key] = f"{found[key]}\n{value}" if key in found else value
    status = int(head[0].split()[1])
    body = b"" if method == "HEAD" or status == 204 else await _rest(reader, found)
    return Answer(status, found, body, asyncio.get_running_loop().time() - started)


async def _rest(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return await reader.read()
    found = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        found += await reader.readexactly(size)
        await reader.readline()
    return found
