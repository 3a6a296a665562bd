"""Certificates over a stream: asked for with a real HTTP/2 library, read back with plain protobuf rules."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from aiculturekit.mesh import files, frames, protobufs
from aiculturekit.mesh.discoveries import Discovery
from aiculturekit.mesh.envoy import names, secrets

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
    (":authority", "secrets"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def field(number: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    size, head = len(content), bytes([number << 3 | 2])
    while size > 127:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return head + bytes([size]) + content


def asked(*wanted: str, left: tuple[str, ...] = (), kind: str = protobufs.SECRET) -> bytes:
    """A DeltaDiscoveryRequest."""
    message = field(2, kind) + b"".join(field(3, name) for name in wanted) + b"".join(field(4, name) for name in left)
    return b"\0" + len(message).to_bytes(4, "big") + message


def read(message: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for number, value in protobufs._fields(message):
        found.setdefault(number, []).append(value)
    return found


class Envoy:
    """A client on one stream; `window` is how much it takes before it makes room."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, window: int) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._connection.initiate_connection()
        self._connection.update_settings({4: window})
        self._stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(self._stream, HEADERS)
        self.headers: dict[bytes, bytes] = {}
        self._received = bytearray()
        self.pongs = 0

    def ask(self, message: bytes) -> None:
        self._connection.send_data(self._stream, message)
        self._flush()

    def ping(self) -> None:
        self._connection.ping(b"12345678")
        self._flush()

    async def answers(self, count: int) -> list[dict[int, list[bytes]]]:
        """The next DeltaDiscoveryResponses."""
        found: list[dict[int, list[bytes]]] = []
        async with asyncio.timeout(10):
            while True:
                while len(self._received) >= 5 and len(self._received) >= 5 + int.from_bytes(
                    self._received[1:5], "big"
                ):
                    end = 5 + int.from_bytes(self._received[1:5], "big")
                    found.append(read(bytes(self._received[5:end])))
                    del self._received[:end]
                if len(found) >= count:
                    return found
                await self.read()

    async def read(self) -> None:
        data = await self._reader.read(65536)
        assert data, "the connection was closed"
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.headers = {bytes(name): bytes(value) for name, value in event.headers}  # type: ignore[arg-type]
            elif isinstance(event, h2.events.DataReceived):
                self._received += event.data
                self._connection.acknowledge_received_data(event.flow_controlled_length, self._stream)
            elif isinstance(event, h2.events.PingAckReceived):
                self.pongs += 1
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Discovery]:
    files.folder(tmp_path / "sds")
    discovery = Discovery(tmp_path, socket=tmp_path / "keys.sock")
    await discovery.open()
    yield discovery
    await discovery.close()


@contextlib.asynccontextmanager
async def client(discovery: Discovery, *, window: int = 65535) -> AsyncIterator[Envoy]:
    reader, writer = await asyncio.open_unix_connection(discovery.socket)
    try:
        yield Envoy(reader, writer, window=window)
    finally:
        writer.close()


def put(folder: Path, name: str, chain: str = "chain") -> str:
    """A certificate in its file; its version."""
    app, _, workload = name.partition("/")
    document = secrets.certificate((app, workload), chain=chain, key="key")
    files.put(folder / names.served_file(name), files.text(document))
    return str(document["version_info"])


async def test_who_asks_is_sent_the_certificate_and_later_ones(served: Discovery, tmp_path: Path) -> None:
    first = put(tmp_path, "shop/gw")
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw"))
        [answer] = await envoy.answers(1)
        assert envoy.headers == {b":status": b"200", b"content-type": b"application/grpc"}
        assert (answer[1], answer[4]) == ([first.encode()], [protobufs.SECRET.encode()])
        resource = read(answer[2][0])
        assert (resource[1], resource[3]) == ([first.encode()], [b"shop/gw"])
        secret = read(read(resource[2][0])[2][0])
        pair = read(secret[2][0])
        assert (secret[1], read(pair[1][0]), read(pair[2][0])) == ([b"shop/gw"], {3: [b"chain"]}, {3: [b"key"]})
        served.publish()  # nothing has changed
        second = put(tmp_path, "shop/gw", "another chain")
        served.publish()
        [answer] = await envoy.answers(1)
        assert answer[1] == [second.encode()]


async def test_one_that_is_not_there_yet_comes_when_it_is(served: Discovery, tmp_path: Path) -> None:
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw", "bundle"))
        files.put(tmp_path / names.bundle_file(), files.text(secrets.trust("roots")))
        served.publish()
        [answer] = await envoy.answers(1)
        secret = read(read(read(answer[2][0])[2][0])[2][0])
        assert (secret[1], read(read(secret[4][0])[1][0])) == ([b"bundle"], {3: [b"roots"]})
        put(tmp_path, "shop/gw")
        served.publish()
        [answer] = await envoy.answers(1)
        assert read(answer[2][0])[3] == [b"shop/gw"]


async def test_asking_again_is_answered_again_and_who_left_is_told_nothing(served: Discovery, tmp_path: Path) -> None:
    put(tmp_path, "shop/gw"), put(tmp_path, "shop/pay")
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw", "shop/pay"))
        await envoy.answers(2)
        envoy.ask(asked("shop/pay", left=("shop/gw", "never/asked")))
        [again] = await envoy.answers(1)
        assert read(again[2][0])[3] == [b"shop/pay"]
        put(tmp_path, "shop/gw", "other"), put(tmp_path, "shop/pay", "other")
        served.publish()
        [answer] = await envoy.answers(1)
        assert read(answer[2][0])[3] == [b"shop/pay"]


async def test_more_than_a_window_holds_comes_as_room_is_made(served: Discovery, tmp_path: Path) -> None:
    wanted = [f"shop/s{number}" for number in range(60)]
    for name in wanted:
        put(tmp_path, name, "chain " * 1000)
    async with client(served, window=5000) as envoy:
        envoy.ask(asked(*wanted))
        answers = await envoy.answers(60)
        assert [read(answer[2][0])[3][0].decode() for answer in answers] == wanted
        envoy.ping()
        async with asyncio.timeout(10):
            while not envoy.pongs:
                await envoy.read()


async def test_bundles_come_before_the_certificates_that_they_vouch_for(served: Discovery, tmp_path: Path) -> None:
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw", "bundle", "shop/pay"))
        for turn in ("first", "second"):
            put(tmp_path, "shop/gw", turn), put(tmp_path, "shop/pay", turn)
            files.put(tmp_path / names.bundle_file(), files.text(secrets.trust(turn)))
            served.publish()
            answers = await envoy.answers(3)
            assert [read(answer[2][0])[3] for answer in answers] == [[b"bundle"], [b"shop/gw"], [b"shop/pay"]]


async def test_other_kinds_are_not_answered(served: Discovery, tmp_path: Path) -> None:
    put(tmp_path, "shop/gw")
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw", kind="type.googleapis.com/envoy.config.cluster.v3.Cluster") + asked("shop/gw"))
        [answer] = await envoy.answers(1)
        assert answer[4] == [protobufs.SECRET.encode()]


async def test_the_socket_is_private_and_takes_the_place_of_a_stale_one(tmp_path: Path) -> None:
    socket = tmp_path / "keys.sock"
    socket.write_text("left behind")
    discovery = Discovery(tmp_path, socket=socket)
    await discovery.open()
    assert stat.S_ISSOCK(socket.stat().st_mode) and stat.S_IMODE(socket.stat().st_mode) == 0o600
    await discovery.close()
    await discovery.close()


@pytest.mark.parametrize(
    "spoilt", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff" + bytes(6)]
)
async def test_what_is_no_http2_ends_its_own_connection_alone(served: Discovery, tmp_path: Path, spoilt: bytes) -> None:
    put(tmp_path, "shop/gw")
    reader, writer = await asyncio.open_unix_connection(served.socket)
    writer.write(spoilt)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    async with client(served) as envoy:
        envoy.ask(asked("shop/gw"))
        assert len(await envoy.answers(1)) == 1


def test_bytes_may_come_one_by_one() -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.send_headers(1, HEADERS)
    connection.send_data(1, asked("shop/gw", "shop/pay"))
    server = frames.Connection()
    found = [message for byte in connection.data_to_send() for message in server.receive(bytes([byte]))]
    assert [(stream, protobufs.request(message)[1]) for stream, message in found] == [(1, ["shop/gw", "shop/pay"])]
    connection.reset_stream(1)
    assert list(server.receive(connection.data_to_send())) == [] and server.streams == {}
    server.send(1, b"for nobody")
    connection.receive_data(server.outgoing())


@pytest.mark.parametrize("message", [b"\x12\x05ab", b"\x12\xff", b"\x13", b"\x1d\x00"])
def test_a_spoilt_message_is_said_to_be(message: bytes) -> None:
    with pytest.raises(ValueError):
        protobufs.request(message)


def test_a_refusal_is_read() -> None:
    error = b"\x08\x0d" + field(2, "no such curve")
    assert protobufs.request(field(2, "kind") + field(7, error)) == ("kind", [], [], "no such curve")


def test_a_field_that_no_schema_knows_is_not_lost_in_silence() -> None:
    with pytest.raises(KeyError):
        protobufs.response({"name": "x", "@type": protobufs.SECRET, "more": "y"}, version="1", nonce="1")


def test_the_neighbours_roots_keep_their_trust_domains() -> None:
    [secret] = secrets.federation({"b.test": "roots of b", "c.test": "roots of c"})["resources"]
    made = read(read(read(protobufs.response(secret, version="1", nonce="1"))[2][0])[2][0])
    validator = read(read(read(made[2][0])[4][0])[12][0])
    assert validator[1] == [b"envoy.tls.cert_validator.spiffe"]
    domains = [read(domain) for domain in read(read(validator[2][0])[2][0])[1]]
    assert [(one[1], read(one[2][0])) for one in domains] == [
        ([b"b.test"], {3: [b"roots of b"]}),
        ([b"c.test"], {3: [b"roots of c"]}),
    ]
