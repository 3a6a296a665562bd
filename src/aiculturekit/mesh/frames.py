"""gRPC on HTTP/2 as bytes in and bytes out: as much of it as it takes to answer Envoy's one question on a socket of its own. Pure.

Every stream is taken for the one method there is. HTTP/2 is the h2 library's; here is what gRPC puts into its streams
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError, StreamClosedError

_HEADERS = ((":status", "200"), ("content-type", "application/grpc"))
_PREFIX = 5
"""Bytes before each message: whether it is compressed, and its length."""
_LONGEST = 4 * 1024 * 1024
"""Bytes of a message from Envoy: it names what it wants, some 40 bytes each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """Bytes of messages that are not whole yet, in both directions."""

    received: bytearray = dataclasses.field(default_factory=bytearray)
    waiting: bytearray = dataclasses.field(default_factory=bytearray)


class Connection:
    """One client. `streams` are those that are open, by their numbers."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http.initiate_connection()

    def receive(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(stream, message) for all that has come whole with these bytes. Raises ValueError for what is no HTTP/2, or no gRPC."""
        try:
            events = self._http.receive_data(data)
        except ProtocolError as error:
            raise ValueError(str(error)) from error
        for event in events:
            yield from self._take(event)
        self._flush()

    def send(self, stream: int, message: bytes) -> None:
        """Nothing where the stream is gone."""
        if stream in self.streams:
            self.streams[stream].waiting.extend(b"\0" + len(message).to_bytes(4, "big") + message)
            self._flush()

    def outgoing(self) -> bytes:
        """What is to be written now."""
        return self._http.data_to_send()

    def _take(self, event: Event) -> Iterator[tuple[int, bytes]]:
        match event:
            case RequestReceived():
                self.streams[event.stream_id] = Stream()
                self._http.send_headers(event.stream_id, _HEADERS)
            case DataReceived():
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                yield from self._messages(event.stream_id, event.data)
            case StreamEnded() | StreamReset():
                self.streams.pop(event.stream_id, None)
            case WindowUpdated():
                pass  # there is room: what waits is sent when all events are taken

    def _messages(self, number: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        stream = self.streams.get(number)
        if stream is None:
            return
        stream.received.extend(data)
        while len(stream.received) >= _PREFIX:
            end = _PREFIX + int.from_bytes(stream.received[1:_PREFIX], "big")
            if end > _LONGEST or stream.received[0]:
                raise ValueError("a message that is too long, or compressed")
            if len(stream.received) < end:
                return
            message = bytes(stream.received[_PREFIX:end])
            del stream.received[:end]
            yield number, message

    def _flush(self) -> None:
        """As much as the other side's windows have room for."""
        for number, stream in list(self.streams.items()):
            try:
                while size := min(
                    len(stream.waiting),
                    self._http.local_flow_control_window(number),
                    self._http.max_outbound_frame_size,
                ):
                    self._http.send_data(number, bytes(stream.waiting[:size]))
                    del stream.waiting[:size]
            except StreamClosedError:
                self.streams.pop(number, None)
