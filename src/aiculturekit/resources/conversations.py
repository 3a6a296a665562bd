"""MongoDB's protocol, as far as its administrator needs it: a command, and its answer.
(https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/, OP_MSG; logins by SCRAM-SHA-256)
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from typing import Any

from aiculturekit.resources import bsons, scram
from aiculturekit.resources.processes import Streams

_MESSAGE = 2013
_LARGEST = 48_000_000
_REFUSED = (13, 18, 334)
"""Unauthorized, AuthenticationFailed, MechanismUnavailable."""


class Answer(Exception):
    """The server's own words for what it did not do."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code

    @property
    def is_refusal(self) -> bool:
        """It does not let this user in, or not do this."""
        return self.code in _REFUSED


class Conversation:
    """Over one connection, one command after the other."""

    def __init__(self, streams: Streams) -> None:
        self._reader, self._writer = streams
        self._numbers = itertools.count(1)

    async def ask(self, database: str, command: Mapping[str, Any]) -> dict[str, Any]:
        """What it answered. The first key of the command is its name. Raises Answer, OSError, ValueError for what is no answer."""
        number = next(self._numbers)
        body = struct.pack("<IB", 0, 0) + bsons.packed({**command, "$db": database})
        self._writer.write(struct.pack("<iiii", len(body) + 16, number, 0, _MESSAGE) + body)
        await self._writer.drain()
        found = await self._answer(number)
        if found.get("ok") != 1:
            raise Answer(str(found.get("errmsg") or "it refuses"), int(found.get("code") or 0))
        return found

    async def enter(self, *, user: str, password: str, database: str) -> None:
        """As this user, whom the server keeps in `database`. Raises as `ask` does."""
        client = scram.Client(password, user=user)
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": client.first()}
        found = await self.ask(database, {**start, "options": {"skipEmptyExchange": True}})
        payload = client.final(found["payload"])
        while not found["done"]:
            number = found["conversationId"]
            found = await self.ask(database, {"saslContinue": 1, "conversationId": number, "payload": payload})
            payload = b""

    async def _answer(self, number: int) -> dict[str, Any]:
        length, _, answered, kind = struct.unpack("<iiii", await self._reader.readexactly(16))
        if kind != _MESSAGE or answered != number or not 21 < length <= _LARGEST:
            raise ValueError("it does not speak MongoDB")
        body = await self._reader.readexactly(length - 16)
        if body[4] != 0:
            raise ValueError("it does not speak MongoDB")
        return bsons.unpacked(body[5:])
