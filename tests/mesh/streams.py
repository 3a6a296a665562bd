"""HTTP/2 without TLS, as gRPC speaks it: a server that answers with trailers, and one call to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import h2.config
import h2.connection
import h2.events

Headers = dict[str, str]
CALL = [
    (":method", "POST"),
    (":path", "/shop.Orders/Place"),
    (":scheme", "http"),
    (":authority", "orders"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def _connection(*, is_client: bool) -> h2.connection.H2Connection:
    return h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client, header_encoding="utf-8"))


@contextlib.asynccontextmanager
async def server(seen: list[Headers]) -> AsyncIterator[int]:
    """Its port. Every message is sent back at once; when the call ends, `grpc-status: 0` follows as a trailer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _connection(is_client=False)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    seen.append(dict(event.headers))
                    answer = [(":status", "200"), ("content-type", "application/grpc")]
                    connection.send_headers(event.stream_id, answer)
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if event.data:
                        connection.send_data(event.stream_id, event.data.upper())
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()

    made = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with made:
        yield made.sockets[0].getsockname()[1]


class Call:
    """One call in both directions over a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._connection = reader, writer, _connection(is_client=True)
        self.headers, self.trailers, self.received, self.is_over = Headers(), Headers(), b"", False
        self._connection.initiate_connection()
        self._stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(self._stream, CALL)

    def send(self, message: bytes, *, is_last: bool = False) -> None:
        self._connection.send_data(self._stream, message, end_stream=is_last)
        self._writer.write(self._connection.data_to_send())

    async def until(self, length: int) -> bytes:
        """So much of the answer, or all of it where that is shorter."""
        async with asyncio.timeout(10):
            while len(self.received) < length and not self.is_over:
                for event in self._connection.receive_data(await self._reader.read(65536)):
                    self._note(event)
                self._writer.write(self._connection.data_to_send())
        return self.received

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.headers = dict(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.received += event.data
        self.is_over |= isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)


@contextlib.asynccontextmanager
async def call(port: int) -> AsyncIterator[Call]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Call(reader, writer)
    finally:
        writer.close()
