"""The way to a tcp service: one hop where nothing has to be decided on the way, two where something has, with a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh import figures
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Edge, Node, Version
from aiculturekit.mesh.rules import Breaker, Traffic
from tests.mesh import stages

pytestmark = pytest.mark.integration
_LONG = 30.0
_DRAINED = 7.0
"""Seconds: more than a listener that changed gives its old connections."""


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(home=tmp_path)
    await mesh.start()
    yield mesh
    await mesh.stop()


@pytest.fixture
def stage() -> Iterator[Any]:
    return stages.Stage()


class Held:
    """A connection that stays open, whose other end gives back what it is told in capitals."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def echoes(self) -> bool:
        """Whether the other end is still there."""
        try:
            self._writer.write(b"hello")
            return await asyncio.wait_for(self._reader.readexactly(5), 5) == b"HELLO"
        except (OSError, asyncio.IncompleteReadError):
            return False

    def close(self) -> None:
        """At once: the other end of this kind of connection waits for more."""
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def held(port: int, *, patience: float = 0.0) -> AsyncIterator[Held]:
    """Tried again for so many seconds: one of Envoy's threads may take what is new a moment after it is said to be in force."""
    deadline = time.monotonic() + patience
    while True:
        try:
            one = await _taken(port)
            break
        except (OSError, asyncio.IncompleteReadError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
    try:
        yield one
    finally:
        one.close()


async def _taken(port: int) -> Held:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return Held(reader, writer)


def changed(node: Node, **fields: Any) -> Node:
    """The node with another database."""
    services = tuple(dataclasses.replace(one, **fields) if one.name == "db" else one for one in node.services)
    return dataclasses.replace(node, services=services)


def with_caller(node: Node, port: int) -> Node:
    """The node with another workload that needs the database too."""
    [db] = [one for one in node.services if one.name == "db"]
    callers = tuple(
        Caller(one.app, one.name, one.proxy, {**one.needs, "db": port}) if one.name == "orders" else one
        for one in node.callers
    )
    return changed(dataclasses.replace(node, callers=callers), callers=(*db.callers, "orders"))


async def edge(mesh: Mesh) -> Edge:
    now = await mesh.sample()
    [found] = [e for e in figures.edges(now, {}, seconds=0) if (e.source, e.target) == ("gw", "db")]
    return found


async def is_open(port: int) -> bool:
    try:
        return (await stages.get(port)).status == 200
    except (OSError, asyncio.IncompleteReadError):
        return False


async def test_what_is_open_outlives_every_change_that_is_not_about_it(mesh: Mesh, stage: Any) -> None:
    """Other replicas, another caller, a rule that takes a second hop, two versions: new connections follow, open ones stay."""
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        node, port = stage.node(), stage.ports["gw-db"]
        await mesh.apply(node)
        await stages.publish(mesh, "db", one)
        async with held(port) as early:
            assert await early.echoes() and (await edge(mesh)).tls == "none"
            await stages.publish(mesh, "db", two)
            assert (await stages.get(port)).json["name"] == "two"
            await mesh.apply(with_caller(node, stage.ports["extra"]))
            assert (await stages.get(stage.ports["extra"])).json["name"] == "two"
            limited = Traffic(breaker=Breaker(max_connections=100))
            await mesh.apply(changed(node, traffic=limited))
            assert (await stages.get(port)).json["name"] == "two" and (await edge(mesh)).tls == "proven"
            async with held(port) as late:
                await mesh.apply(node)
                assert (await stages.get(port)).json["name"] == "two" and (await edge(mesh)).tls == "none"
                await asyncio.sleep(_DRAINED)
                assert await early.echoes() and await late.echoes()


async def test_the_versions_of_a_tcp_service_share_its_connections(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        versions = (Version("v1", stage.ports["db"], 50.0), Version("v2", stage.ports["extra"], 50.0))
        await mesh.apply(changed(stage.node(), versions=versions))
        await stages.publish(mesh, "db", one)
        await stages.publish(mesh, "db", two, version="v2")
        seen = {(await stages.get(stage.ports["gw-db"])).json["name"] for _ in range(20)}
        assert seen == {"one", "two"} and (await edge(mesh)).tls == "proven"
        only_new = tuple(dataclasses.replace(v, weight=w) for v, w in zip(versions, (0.0, 100.0), strict=True))
        await mesh.apply(changed(stage.node(), versions=only_new))
        assert {(await stages.get(stage.ports["gw-db"])).json["name"] for _ in range(5)} == {"two"}
        assert (await edge(mesh)).tls == "none"


@pytest.mark.parametrize("what", ["need", "permission"])
async def test_what_is_open_ends_with_the_need_and_with_the_permission(mesh: Mesh, stage: Any, what: str) -> None:
    async with stages.Replica("db") as db:
        node = stage.node()
        await mesh.apply(node)
        await stages.publish(mesh, "db", db)
        async with held(stage.ports["gw-db"]) as one:
            assert await one.echoes()
            if what == "need":
                callers = tuple(dataclasses.replace(caller, needs={}) for caller in node.callers)
                await mesh.apply(dataclasses.replace(node, callers=callers))
            else:
                await mesh.apply(changed(node, callers=()))
            await stages.until_async(lambda: _ended(one), seconds=_LONG)


async def _ended(one: Held) -> bool:
    return not await one.echoes()


async def test_a_breaker_counts_the_connections_of_all_callers_together(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("db") as db:
        node = with_caller(stage.node(), stage.ports["extra"])
        await mesh.apply(changed(node, traffic=Traffic(breaker=Breaker(max_connections=1))))
        await stages.publish(mesh, "db", db)
        async with held(stage.ports["gw-db"], patience=_LONG) as one:
            assert await one.echoes() and not await is_open(stage.ports["extra"])
        await stages.until_async(lambda: is_open(stage.ports["extra"]), seconds=_LONG)


async def test_a_connection_that_cannot_be_made_is_an_error_of_the_edge(mesh: Mesh, stage: Any) -> None:
    await mesh.apply(stage.node())
    [nobody] = stages.free_ports(1)
    await mesh.publish("shop", "db", version="v1", ports=[nobody])
    assert not await is_open(stage.ports["gw-db"])
    await stages.until_async(lambda: _failed(mesh), seconds=_LONG)


async def _failed(mesh: Mesh) -> bool:
    return (await edge(mesh)).errors >= 1


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a server does that is killed with something unread."""
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_how_long_connections_took_and_which_the_service_reset_are_figures(mesh: Mesh, stage: Any) -> None:
    async with await asyncio.start_server(_reset, "127.0.0.1", 0) as server:
        await mesh.apply(stage.node())
        await mesh.publish("shop", "db", version="v1", ports=[server.sockets[0].getsockname()[1]])
        before = await mesh.sample()
        assert not await is_open(stage.ports["gw-db"])
        for _ in range(200):
            now = await mesh.sample()
            [seen] = [e for e in figures.edges(now, figures.growths(now, before), seconds=1) if e.target == "db"]
            if seen.resets and seen.connect_p95_ms is not None:
                break
            await asyncio.sleep(0.05)
        assert seen.resets == 1 and seen.connect_p95_ms is not None and seen.connect_p95_ms < 10_000
