"""As much of HTTP/2 (RFC 9113) and gRPC as it takes to answer Envoy's one question on a socket of its own: bytes go in and out. Pure.

Every stream is taken for the one method there is, so the headers of requests are passed over unread; our own are constants. Data is
sent only as far as the other side's windows reach.
"""

from __future__ import annotations

from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_INITIAL_WINDOW = 4
_LARGEST = 16384
"""Bytes of a frame; who wants to may send larger ones only after asking."""
_LONGEST = 4 * 1024 * 1024
"""Bytes of a message from Envoy: it names what it wants, some 40 bytes each."""
_OPENING = b"\x88\x0f\x10\x10application/grpc"
"""HPACK (RFC 7541): `:status: 200` by its index; `content-type`, by the index of its name, not to be remembered."""


class Stream:
    """What is under way on one stream: bytes of messages that are not whole yet, in both directions."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.received, self.waiting = bytearray(), bytearray()


class Connection:
    """One client. `streams` are those that are open, by their numbers. Raises ValueError for what is no HTTP/2."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self._input, self._output = bytearray(), bytearray(_frame(_SETTINGS))
        self._is_greeted = False
        self._window = self._first_window = 65535

    def receive(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(stream, message) for all that has come whole with these bytes."""
        self._input += data
        if not self._is_greeted:
            if not PREFACE.startswith(bytes(self._input[: len(PREFACE)])):
                raise ValueError("it does not speak HTTP/2")
            if len(self._input) < len(PREFACE):
                return
            del self._input[: len(PREFACE)]
            self._is_greeted = True
        while (frame := self._next()) is not None:
            yield from self._take(*frame)

    def send(self, stream: int, message: bytes) -> None:
        """Nothing where the stream is gone."""
        if stream in self.streams:
            self.streams[stream].waiting += b"\0" + len(message).to_bytes(4, "big") + message
            self._flush(stream)

    def outgoing(self) -> bytes:
        """What is to be written now."""
        found = bytes(self._output)
        self._output.clear()
        return found

    def _next(self) -> tuple[int, int, int, bytes] | None:
        """(type, flags, stream, content) of the next frame; None while it is not whole."""
        if len(self._input) < 9:
            return None
        size = int.from_bytes(self._input[:3], "big")
        if size > _LARGEST:
            raise ValueError(f"a frame of {size} bytes")
        if len(self._input) < 9 + size:
            return None
        kind, flags, stream = self._input[3], self._input[4], int.from_bytes(self._input[5:9], "big") & 0x7FFFFFFF
        content = bytes(self._input[9 : 9 + size])
        del self._input[: 9 + size]
        return kind, flags, stream, content

    def _take(self, kind: int, flags: int, number: int, content: bytes) -> Iterator[tuple[int, bytes]]:
        if kind == _DATA:
            yield from self._data(number, _unpadded(flags, content), size=len(content))
        elif kind == _HEADERS and number not in self.streams:
            self.streams[number] = Stream(self._first_window)
            self._output += _frame(_HEADERS, _END_HEADERS, number, _OPENING)
        elif kind == _SETTINGS and not flags & _ACK:
            self._set(content)
        elif kind == _PING and not flags & _ACK:
            self._output += _frame(_PING, _ACK, 0, content)
        elif kind == _WINDOW:
            self._widen(number, int.from_bytes(content, "big") & 0x7FFFFFFF)
        elif kind == _GOAWAY:
            self.streams.clear()
        if kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            self.streams.pop(number, None)

    def _data(self, number: int, content: bytes, *, size: int) -> Iterator[tuple[int, bytes]]:
        """What was read makes room for more at once, for the connection and for the stream."""
        if size:
            self._output += _frame(_WINDOW, 0, 0, size.to_bytes(4, "big"))
        stream = self.streams.get(number)
        if stream is None:
            return
        if size:
            self._output += _frame(_WINDOW, 0, number, size.to_bytes(4, "big"))
        stream.received += content
        while len(stream.received) >= 5:
            end = 5 + int.from_bytes(stream.received[1:5], "big")
            if end > _LONGEST or stream.received[0]:
                raise ValueError("a message that is too long, or compressed")
            if len(stream.received) < end:
                return
            message = bytes(stream.received[5:end])
            del stream.received[:end]
            yield number, message

    def _set(self, content: bytes) -> None:
        for at in range(0, len(content), 6):
            key, value = int.from_bytes(content[at : at + 2], "big"), int.from_bytes(content[at + 2 : at + 6], "big")
            if key == _INITIAL_WINDOW:
                change, self._first_window = value - self._first_window, value
                for stream in self.streams.values():
                    stream.window += change
        self._output += _frame(_SETTINGS, _ACK)
        self._flush(*self.streams)

    def _widen(self, number: int, more: int) -> None:
        if number == 0:
            self._window += more
            self._flush(*self.streams)
        elif stream := self.streams.get(number):
            stream.window += more
            self._flush(number)

    def _flush(self, *numbers: int) -> None:
        for number in numbers:
            stream = self.streams[number]
            while (size := min(len(stream.waiting), stream.window, self._window, _LARGEST)) > 0:
                self._output += _frame(_DATA, 0, number, bytes(stream.waiting[:size]))
                del stream.waiting[:size]
                stream.window -= size
                self._window -= size


def _frame(kind: int, flags: int = 0, stream: int = 0, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + content


def _unpadded(flags: int, content: bytes) -> bytes:
    return content[1 : len(content) - content[0]] if flags & _PADDED and content else content
