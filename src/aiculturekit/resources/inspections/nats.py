"""Looking into NATS: its streams, as the daemon's own user, who may ask for the list and nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.resources import greetings, processes
from aiculturekit.resources.backends.nats import OWNER, STREAMS, secret
from aiculturekit.resources.inspections.shapes import Figure, Inspection, Row
from aiculturekit.resources.servers import Ground

_PATIENCE = 5.0
_LONGEST = 8 * 2**20
_EXPORTED = (
    ("jetstream_stream_total_messages", "Messages in the stream.", "messages"),
    ("jetstream_stream_total_bytes", "Bytes of the stream.", "bytes"),
    ("jetstream_stream_consumer_count", "Consumers of the stream.", "consumers"),
)
"""The names of nats-io/prometheus-nats-exporter."""


class Nats:
    up = "gnatsd_up"

    async def inspect(self, ground: Ground) -> Inspection:
        key = await threads.run(secret, ground)
        try:
            async with asyncio.timeout(_PATIENCE), processes.dialled(ground) as (reader, writer):
                version = await greetings.nats(reader, writer, user=OWNER, password=key)
                answer = await _request(reader, writer, STREAMS)
        except TimeoutError:
            raise Failed(say("the server did not answer within {seconds:g} s", seconds=_PATIENCE)) from None
        except greetings.Unwelcome as error:
            raise Failed(say("the server does not answer: {error}", error=str(error))) from None
        streams = [_row(stream) for stream in answer.get("streams") or ()]
        return Inspection(
            version=version,
            size_bytes=sum(row["bytes"] for row in streams),
            sections={"streams": streams},
            figures=tuple(_figures(streams)),
        )


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, subject: str) -> dict[str, Any]:
    """https://docs.nats.io/reference/reference-protocols/nats-protocol"""
    inbox = f"_INBOX.{secrets.token_hex(8)}"
    writer.write(f"SUB {inbox} 1\r\nPUB {subject} {inbox} 2\r\n{{}}\r\n".encode())
    await writer.drain()
    while line := (await reader.readline()).decode("utf-8", "replace").strip():
        if line.startswith("MSG "):
            length = int(line.split()[-1])
            if length > _LONGEST:
                break
            found: dict[str, Any] = json.loads(await reader.readexactly(length))
            return found
        if line == "PING":
            writer.write(b"PONG\r\n")
        elif line.startswith("-ERR"):
            break
    raise Failed(say("the server's answer cannot be read"))


def _row(stream: dict[str, Any]) -> Row:
    state = stream["state"]
    return {
        "name": stream["config"]["name"],
        "messages": state["messages"],
        "bytes": state["bytes"],
        "consumers": state["consumer_count"],
    }


def _figures(streams: Sequence[Row]) -> list[Figure]:
    return [
        Figure(name, "gauge", text, row[key], {"stream_name": row["name"]})
        for name, text, key in _EXPORTED
        for row in streams
    ]
