"""Failures made on purpose on the way to a tcp service, with a real Envoy: how many, how long, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import Any

import pytest

from aiculturekit.mesh import figures
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Edge, Node
from aiculturekit.mesh.rules import Breaker, Fault, Traffic
from tests.integration.test_integration_pipes import Held, held
from tests.mesh import stages

pytestmark = pytest.mark.integration
_MANY, _AT_ONCE = 2000, 20
_DRAINED = 7.0
"""Seconds: more than a listener that changed gives its old connections."""


def faulty(node: Node, fault: Fault | None, **rules: Any) -> Node:
    """The node whose database is called with such failures."""
    traffic = Traffic(fault=fault, **rules)
    services = tuple(dataclasses.replace(one, traffic=traffic) if one.name == "db" else one for one in node.services)
    return dataclasses.replace(node, services=services)


async def opened(port: int) -> float | None:
    """Seconds until the other end answered; None where the connection was broken off."""
    began = time.monotonic()
    try:
        assert (await stages.get(port)).status == 200
    except (OSError, asyncio.IncompleteReadError):
        return None
    return time.monotonic() - began


async def counted(port: int, *, many: int = _MANY) -> list[float | None]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one() -> float | None:
        async with room:
            return await opened(port)

    return list(await asyncio.gather(*(one() for _ in range(many))))


async def edges(mesh: Mesh) -> dict[str, Edge]:
    """The edges to the database, by caller."""
    now = await mesh.sample()
    return {one.source: one for one in figures.edges(now, {}, seconds=0) if one.target == "db"}


async def test_the_share_that_is_asked_for_is_broken_off_and_counted(mesh: Mesh, stage: stages.Stage) -> None:
    async with stages.Replica("db") as db:
        await mesh.apply(faulty(stage.node(), Fault(abort=True, share=30.0)))
        await stages.publish(mesh, "db", db)
        found = await counted(stage.ports["gw-db"])
        broken = found.count(None)
        assert 0.26 < broken / _MANY < 0.34
        edge = (await edges(mesh))["gw"]
        assert edge.requests - _MANY in (0, 1) and edge.errors - broken in (
            0,
            1,
        )  # the mesh itself looks whether a new door is open
        assert edge.tls == "none"


async def test_the_share_that_is_asked_for_waits_as_long_as_is_asked_for(mesh: Mesh, stage: stages.Stage) -> None:
    async with stages.Replica("db") as db:
        await mesh.apply(faulty(stage.node(), Fault(delay=1.0, share=20.0)))
        await stages.publish(mesh, "db", db)
        found = [seconds for seconds in await counted(stage.ports["gw-db"]) if seconds is not None]
        late = sorted(seconds for seconds in found if seconds >= 1.0)
        assert len(found) == _MANY and 0.16 < len(late) / _MANY < 0.24
        usual = sorted(set(found) - set(late))
        assert late[len(late) // 2] - usual[len(usual) // 2] == pytest.approx(1.0, rel=0.1)


async def test_both_happen_to_the_same_connections(mesh: Mesh, stage: stages.Stage) -> None:
    async with stages.Replica("db") as db:
        await mesh.apply(faulty(stage.node(), Fault(delay=0.5, abort=True, share=50.0)))
        await stages.publish(mesh, "db", db)
        began = time.monotonic()
        found = await counted(stage.ports["gw-db"], many=100)
        broken = found.count(None)
        assert 25 <= broken <= 75 and time.monotonic() - began > 0.5
        usual = sorted(seconds for seconds in found if seconds is not None)
        assert usual[len(usual) // 2] < 0.5


async def test_switching_breaks_no_connection_and_no_new_one_is_lost(mesh: Mesh, stage: stages.Stage) -> None:
    """On, other, off, twice: whatever was open stays, in the tunnel and beside it; what none of it concerns goes on all the while."""
    port, node = stage.ports["gw-db"], stage.node()
    wait = Fault(delay=0.05, share=50.0)
    async with stages.Replica("db") as db, contextlib.AsyncExitStack() as stack:
        await mesh.apply(node)
        await stages.publish(mesh, "db", db)
        kept: list[Held] = []
        async with stages.Load(port, clients=2, pause=0.01) as load:
            for fault in (None, wait, Fault(delay=0.05), None, Fault(abort=True, callers=("orders",)), wait, None):
                await mesh.apply(faulty(node, fault))
                kept += [await stack.enter_async_context(held(port)) for _ in range(2)]
                assert all([await one.echoes() for one in kept])
            await asyncio.sleep(_DRAINED)
            assert all([await one.echoes() for one in kept])
        assert load.done > 0 and not load.failed


async def test_a_load_of_new_connections_meets_no_gap(mesh: Mesh, stage: stages.Stage) -> None:
    """A door of the tunnel is there before anybody is led to it, and for as long as somebody is."""
    port, node = stage.ports["gw-db"], stage.node()
    async with stages.Replica("db") as db:
        await mesh.apply(node)
        await stages.publish(mesh, "db", db)
        ends, lost, made = asyncio.Event(), list[str](), 0

        async def dial() -> None:
            nonlocal made
            while not ends.is_set():
                made += 1
                if await opened(port) is None:
                    lost.append(f"connection {made}")

        dialling = [asyncio.create_task(dial()) for _ in range(2)]
        for _ in range(5):
            await mesh.apply(faulty(node, Fault(delay=0.01)))
            await mesh.apply(node)
        ends.set()
        await asyncio.gather(*dialling)
        assert made > 20 and not lost


async def test_only_who_is_named_is_concerned_and_replicas_follow(mesh: Mesh, stage: stages.Stage) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        node = faulty(stage.node(), Fault(abort=True, callers=("gw",)))
        db = next(service for service in node.services if service.name == "db")
        callers = tuple(
            Caller(c.app, c.name, c.proxy, {**c.needs, "db": stage.ports["extra"]}) if c.name == "orders" else c
            for c in node.callers
        )
        services = tuple(dataclasses.replace(s, callers=("gw", "orders")) if s is db else s for s in node.services)
        node = dataclasses.replace(node, callers=callers, services=services)
        await mesh.apply(node)
        await stages.publish(mesh, "db", one)
        assert await opened(stage.ports["gw-db"]) is None
        assert (await stages.get(stage.ports["extra"])).json["name"] == "one"
        await mesh.apply(faulty(node, Fault(delay=0.01)))
        await stages.publish(mesh, "db", two)
        for door in ("gw-db", "extra"):
            assert (await stages.get(stage.ports[door])).json["name"] == "two"


async def test_a_service_with_rules_of_its_own_is_reached_through_the_tunnel_too(
    mesh: Mesh, stage: stages.Stage
) -> None:
    """Two hops beyond the tunnel: the service's side proves who calls, and a server that is gone is an error of the edge."""
    async with stages.Replica("db") as db:
        node = faulty(stage.node(), Fault(delay=0.01), breaker=Breaker(max_connections=100))
        await mesh.apply(node)
        await stages.publish(mesh, "db", db)
        assert (await stages.get(stage.ports["gw-db"])).json["name"] == "db"
        assert (await edges(mesh))["gw"].tls == "proven"


async def test_a_server_that_is_not_there_is_an_error_of_the_edge(mesh: Mesh, stage: stages.Stage) -> None:
    await mesh.apply(faulty(stage.node(), Fault(delay=0.01)))
    [gone] = [port for _, port in zip(range(1), stages.free_ports(1), strict=True)]
    await mesh.publish("shop", "db", version="v1", ports=[gone])
    assert await opened(stage.ports["gw-db"]) is None
    edge = (await edges(mesh))["gw"]
    assert edge.requests == edge.errors > 0
