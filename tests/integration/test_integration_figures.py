"""The figures of every edge, from a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Growth, Sample
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Edge
from aiculturekit.mesh.rules import Breaker, Retries, Traffic
from tests.mesh import stages

pytestmark = pytest.mark.integration
EDGE = ("shop", "gw", "orders", "v1")


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with stages.running(tmp_path) as made:
        yield made


@pytest.fixture
def stage() -> stages.Stage:
    return stages.Stage()


async def grown(mesh: Mesh, before: Sample, *, requests: int) -> tuple[Growth, Edge]:
    """What an edge gained, once so many requests are in the figures."""
    for _ in range(200):
        now = await mesh.sample()
        growth = figures.growths(now, before)[EDGE]
        if growth.requests >= requests and sum(growth.bins.values()) >= requests:
            edges = figures.edges(now, figures.growths(now, before), seconds=now.at - before.at)
            return growth, next(edge for edge in edges if (edge.source, edge.target, edge.version) == EDGE[1:])
        await asyncio.sleep(0.05)
    raise AssertionError(f"{growth} is not {requests} requests")


async def test_an_edge_counts_what_crosses_it(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(traffic=Traffic(retries=Retries(attempts=2, on="5xx"))))
        await stages.publish(mesh, "orders", orders)
        before = await mesh.sample()
        assert figures.growths(before, None)[EDGE].is_nothing
        for _ in range(4):
            await stages.get(stage.ports["gw-orders"])
        await stages.get(stage.ports["gw-proxy"], "/fail", host="orders", method="POST")
        growth, edge = await grown(mesh, before, requests=5)
        assert (growth.requests, growth.reads, growth.writes) == (5, 4, 3), (
            "tries, of which the failing POST took three"
        )
        assert (growth.errors, growth.retries) == (1, 2)
        assert growth.received > 500 and growth.sent > 100
        assert edge.tls == "proven" and edge.hosts == 1 and edge.rate > 0
        assert edge.p99_ms is not None and edge.p50_ms is not None and edge.p99_ms >= edge.p50_ms


async def test_a_breaker_is_seen_open_and_what_it_turned_away_is_counted(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        traffic = Traffic(retries=Retries(), breaker=Breaker(errors=50, max_requests=1))
        await mesh.apply(stage.node(traffic=traffic))
        await stages.publish(mesh, "orders", orders)
        before, slow = await mesh.sample(), None
        for _ in range(50):
            slow = asyncio.create_task(stages.get(stage.ports["gw-orders"], "/slow"))
            await asyncio.sleep(0.05)
            now = await mesh.sample()
            [edge] = [e for e in figures.edges(now, {}, seconds=0) if (e.source, e.target) == EDGE[1:3]]
            refused = await stages.get(stage.ports["gw-orders"])
            if edge.breaker_open and refused.status == 503:
                break
            await slow
        else:
            raise AssertionError("the breaker was never seen open")
        await slow
        now = await mesh.sample()
        [after] = [
            e
            for e in figures.edges(now, figures.growths(now, before), seconds=1)
            if e.target == "orders" and e.source == "gw"
        ]
        assert not after.breaker_open and after.overflow_rate >= 1


async def test_a_tcp_edge_counts_connections_and_bytes(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("db") as db:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "db", db)
        before = await mesh.sample()
        await stages.get(stage.ports["gw-db"])
        for _ in range(100):
            now = await mesh.sample()
            [edge] = [e for e in figures.edges(now, figures.growths(now, before), seconds=1) if e.target == "db"]
            if edge.received_rate:
                break
            await asyncio.sleep(0.05)
        assert (edge.version, edge.rate, edge.hosts, edge.tls) == ("", 1.0, 1, "none")
        assert edge.received_rate > 50 and edge.sent_rate > 20
