"""Who may call, who the service sees, and what else than plain requests passes."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.conformance.cases import case
from tests.conformance.cases_failures import ALL_V2
from tests.conformance.stages import APP, Stage


@case("needs")
async def who_needs_it_may_call_and_is_known(stage: Stage) -> None:
    answer = await stage.ask("/x", x_forwarded_client_cert="URI=spiffe://cluster.local/ns/shop/sa/boss")
    assert answer.status == 200
    assert {request.caller for request in stage.seen} == {f"/ns/{APP}/sa/web"}


@case("needs", "public")
async def the_public_door_has_an_identity_of_its_own(stage: Stage) -> None:
    assert (await stage.ask("/x", source="ingress")).status == 200
    assert {request.caller for request in stage.seen} == {stage.ingress_identity}, stage.seen


@case("needs")
async def who_does_not_need_it_is_refused(stage: Stage) -> None:
    for method in ("GET", "POST"):
        assert (await stage.ask("/x", source="other", method=method)).status == 403
    assert stage.seen == []


@case("needs", api="public: []")
async def what_is_not_public_is_not_there(stage: Stage) -> None:
    assert (await stage.ask("/x")).status == 200
    with_none = await asyncio.gather(stage.ask("/x", source="ingress"), return_exceptions=True)
    assert all(isinstance(one, OSError) or getattr(one, "status", 404) == 404 for one in with_none), with_none
    assert len(stage.seen) == 1, stage.seen


@case("needs")
async def nobody_enters_in_plain_text(stage: Stage) -> None:
    address, port = stage.inner()
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.1\r\nhost: api\r\n\r\n")
    try:
        async with asyncio.timeout(10):
            assert b"HTTP/1.1 200" not in await reader.read(100)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert stage.seen == []


@case("needs")
async def own_refusals_of_the_service_are_passed_on(stage: Stage) -> None:
    stage.behave(status=403)
    answer = await stage.ask("/x")
    assert (answer.status, answer.json["version"]) == (403, "v1")


async def say(stage: Stage, text: bytes, *, source: str = "web") -> bytes:
    """One line to a tcp service, and what comes back; nothing when the connection ends."""
    door = stage.door(source)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(door.address, door.port)
        try:
            writer.write(text)
            return await reader.readline()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@case("protocol.tcp", "needs", api="public: []\nprotocol: tcp")
async def bytes_pass_to_a_tcp_service(stage: Stage) -> None:
    found = Counter([(await say(stage, b"hello\n")).decode().split()[0] for _ in range(20)])
    assert set(found) == {"v1-1", "v1-2"}, found


@case("protocol.tcp", "versions.weight", api=f"public: []\nprotocol: tcp\n{ALL_V2}")
async def the_versions_of_a_tcp_service_have_weights(stage: Stage) -> None:
    assert {await say(stage, b"hello\n") for _ in range(6)} == {b"v2-1 HELLO\n"}


@case("protocol.http2", api="protocol: http2\nversions: {v1: {weight: 50}, v2: {weight: 50}}")
async def a_service_may_speak_http2(stage: Stage) -> None:
    for source in ("web", "ingress"):
        answers = await stage.many(12, "/x?y=1", source=source, method="POST", body=b"12345")
        assert {(answer.json["path"], answer.json["size"]) for answer in answers} == {("/x?y=1", 5)}
        assert {answer.seen[":path"] for answer in answers} == {"/x?y=1"}, "over HTTP/2"
    assert {request.caller for request in stage.seen} == {f"/ns/{APP}/sa/web", stage.ingress_identity}
    assert {answer.version for answer in await stage.many(40)} == {"v1", "v2"}


async def upgraded(stage: Stage, source: str) -> None:
    door = stage.door(source)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(door.address, door.port)
        head = f"GET /ws HTTP/1.1\r\nhost: {door.host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        writer.write(head.encode())
        assert b" 101 " in await reader.readline()
        await reader.readuntil(b"\r\n\r\n")
        for text in (b"hello", b"again"):
            writer.write(text)
            assert await reader.readexactly(5) == text.upper()
        writer.close()


@case("protocol.http")
async def a_websocket_passes(stage: Stage) -> None:
    for source in ("web", "ingress"):
        await upgraded(stage, source)


_RULES = "traffic: {max_body: 1Mi, compress: true, sticky: me, limit: 1000/s, cors: '*'}"


@case("protocol.http", "traffic.max_body", api=_RULES)
async def a_websocket_passes_every_rule(stage: Stage) -> None:
    await upgraded(stage, "web")


async def events(stage: Stage, **headers: str) -> None:
    """The first event is there long before the second."""
    door = stage.door("web")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(door.address, door.port)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET /events HTTP/1.1\r\nhost: {door.host}\r\n{lines}\r\n".encode())
        await reader.readuntil(b"data: one")
        first = asyncio.get_running_loop().time()
        await reader.readuntil(b"data: two")
        assert asyncio.get_running_loop().time() - first > 0.2
        writer.close()


@case("protocol.http")
async def events_arrive_one_by_one(stage: Stage) -> None:
    await events(stage)


@case("protocol.http", "traffic.compress", api="traffic: {compress: true, max_body: 1Mi}")
async def events_are_not_held_back_to_be_compressed(stage: Stage) -> None:
    await events(stage, accept_encoding="gzip")
