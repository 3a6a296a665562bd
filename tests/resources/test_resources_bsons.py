"""BSON and a conversation in it: beside MongoDB's own library, and with a server that is as MongoDB's manual says."""

from __future__ import annotations

import asyncio
import base64
import datetime
import struct
from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as some

from aiculturekit.resources import bsons, scram
from aiculturekit.resources.conversations import Answer, Conversation

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False) | some.text(some.characters(codec="utf-8")) | some.binary(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(some.characters(codec="utf-8", exclude_characters="\0")), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
DOCUMENTS = some.dictionaries(some.text(some.characters(codec="utf-8", exclude_characters="\0")), VALUES, max_size=5)


@given(DOCUMENTS)
def test_it_is_what_mongodbs_own_library_makes_of_it(document: dict[str, Any]) -> None:
    assert bsons.packed(document) == bson.encode(document)
    assert bsons.unpacked(bsons.packed(document)) == document


def test_what_only_a_server_says_is_read() -> None:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    said = {"at": moment, "id": bson.ObjectId("a" * 24), "stamp": bson.Timestamp(7, 9), "sum": Decimal128("1.5")}
    found = bsons.unpacked(bson.encode(said))
    assert (found["at"], found["id"], found["stamp"]) == (1767225600000, "a" * 24, 7 << 32 | 9)


@given(some.binary(max_size=60))
def test_what_is_none_is_refused(raw: bytes) -> None:
    for text in (raw, struct.pack("<i", len(raw) + 5) + raw + b"\0"):
        try:
            bsons.packed(bsons.unpacked(text))
        except ValueError:
            continue


@pytest.mark.parametrize(
    "wrong", [b"", b"\x05\0\0\0\1", b"\x06\0\0\0\0\0", bson.encode({"a": 1})[:-1], bson.encode({"a": "b"}) + b"x"]
)
def test_what_is_cut_or_too_long_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="BSON"):
        bsons.unpacked(wrong)


def test_what_has_no_form_in_it_is_refused() -> None:
    for wrong in ({"a": object()}, {"a\0": 1}):
        with pytest.raises(ValueError, match=r"BSON|zero byte"):
            bsons.packed(wrong)


async def test_a_refusal_has_the_servers_words_and_what_is_no_answer_is_said() -> None:
    def refuses(number: int, command: dict[str, Any]) -> bytes:
        return _message(number, {"ok": 0.0, "errmsg": "not allowed", "code": 13})

    with pytest.raises(Answer, match="not allowed") as caught:
        await _asked(refuses)
    assert caught.value.is_refusal
    for wrong in (
        lambda n, c: _message(n + 1, {"ok": 1}),
        lambda n, c: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda n, c: b"\xff" * 30,
    ):
        with pytest.raises(ValueError, match="does not speak MongoDB"):
            await _asked(wrong)


async def test_who_enters_proves_the_password_and_never_says_it() -> None:
    said: list[dict[str, Any]] = []

    def server(number: int, command: dict[str, Any]) -> bytes:
        said.append(command)
        if "saslStart" in command:
            nonce = command["payload"].decode().rpartition("r=")[2]
            challenge = f"r={nonce}more,s={base64.b64encode(b'salt').decode()},i=4096"
            return _message(number, {"ok": 1, "conversationId": 7, "done": False, "payload": challenge.encode()})
        return _message(number, {"ok": 1, "conversationId": 7, "done": True, "payload": b"v=x"})

    async def enter(conversation: Conversation) -> None:
        await conversation.enter(user="a,b", password="the password", database="books")

    await _asked(server, enter)
    start, proof = said
    assert (start["$db"], start["mechanism"]) == ("books", "SCRAM-SHA-256")
    assert start["payload"].decode().startswith("n,,n=a=2Cb,r=") and "the password" not in str(said)
    bare = start["payload"].decode().removeprefix("n,,")
    client = scram.Client("the password", user="a,b", nonce=bare.rpartition("r=")[2])
    challenge = f"r={bare.rpartition('r=')[2]}more,s={base64.b64encode(b'salt').decode()},i=4096"
    assert proof["payload"] == client.final(challenge.encode())


def _message(number: int, document: dict[str, Any]) -> bytes:
    body = struct.pack("<IB", 0, 0) + bson.encode(document)
    return struct.pack("<iiii", len(body) + 16, 1, number, 2013) + body


async def _ping(conversation: Conversation) -> Any:
    return await conversation.ask("admin", {"ping": 1})


async def _asked(server: Callable[[int, dict[str, Any]], bytes], talk: Callable[[Conversation], Any] = _ping) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length, number, _, _ = struct.unpack("<iiii", await reader.readexactly(16))
                writer.write(server(number, bson.decode((await reader.readexactly(length - 16))[5:])))
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as made:
        streams = await asyncio.open_connection(*made.sockets[0].getsockname())
        try:
            await talk(Conversation(streams))
        finally:
            streams[1].close()
