"""A replica's side of HTTP/2 in plain text, spoken without asking first."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

PREFACE = b"PRI * HTTP/2.0"
Answered = Callable[[dict[str, str], int], bytes]


async def serve(
    first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answered: Answered
) -> None:
    """Until the connection ends; `first` was already read. `answered` makes the body from headers and the length of the request's."""
    state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    state.initiate_connection()
    asked, sizes = dict[int, dict[str, str]](), Counter[int]()
    data = first
    while data:
        for event in state.receive_data(data):
            if isinstance(event, RequestReceived):
                asked[event.stream_id] = dict(event.headers)
            elif isinstance(event, DataReceived):
                sizes[event.stream_id] += len(event.data)
                state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                body = answered(asked[event.stream_id], sizes[event.stream_id])
                given = [(":status", "200"), ("content-type", "application/json"), ("content-length", str(len(body)))]
                state.send_headers(event.stream_id, given)
                state.send_data(event.stream_id, body, end_stream=True)
        writer.write(state.data_to_send())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        data = await reader.read(65536)
