"""The figures that the mesh's rules promise, measured with the real Envoy. Counts and ratios, since the machine may be busy."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.rules import (
    Balance,
    Breaker,
    Cors,
    Edits,
    Fault,
    Headers,
    Limit,
    Match,
    Mirror,
    Pattern,
    Redirect,
    Retries,
    Rewrite,
    Route,
    Sticky,
    Traffic,
)
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

EVERY: dict[str, Traffic] = {
    "timeout": Traffic(timeout=3),
    "retries": Traffic(retries=Retries(attempts=2, on="5xx", per_try=2, budget=30)),
    "breaker": Traffic(breaker=Breaker(errors=50, consecutive=9, max_requests=500, max_connections=500)),
    "limit": Traffic(limit=(Limit(100_000), Limit(100_000, by="client"), Limit(100_000, by="caller"))),
    "limit by header": Traffic(limit=(Limit(100_000, by="header x-key"),)),
    "round-robin": Traffic(balance=Balance("round-robin")),
    "random": Traffic(balance=Balance("random")),
    "hash": Traffic(balance=Balance("hash", header="x-user")),
    "hash by client": Traffic(balance=Balance("hash", client=True)),
    "sticky": Traffic(sticky=Sticky("me")),
    "mirror": Traffic(mirror=Mirror("v2", share=50)),
    "fault": Traffic(fault=Fault(delay=0.01, share=50)),
    "headers": Traffic(headers=Headers(Edits(set={"x-a": "1"}), Edits(remove=("server",)))),
    "cors": Traffic(cors=Cors(("https://shop.example",))),
    "compress": Traffic(compress=True),
    "max_body": Traffic(max_body=1000),
    "routes": Traffic(
        routes=(
            Route(Match(path=Pattern(prefix="/gone")), redirect=Redirect("/new")),
            Route(Match(method="GET"), rewrite=Rewrite(path="/inner"), limit=(Limit(100_000),), timeout=5),
        )
    ),
}


async def test_no_rule_that_comes_or_goes_loses_a_request(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("other") as other, stages.Replica("two") as two:
        versions = stage.split(80, 20)
        await mesh.apply(stage.node(versions=versions))
        await stages.publish(mesh, "orders", one, other)
        await stages.publish(mesh, "orders", two, version="v2")
        async with stages.Load(stage.ports["gw-orders"], pause=0.04) as load:
            for traffic in EVERY.values():
                for rules in (traffic, Traffic()):
                    await mesh.apply(stage.node(versions=versions, traffic=rules))
                    done = load.done
                    await stages.until(lambda done=done: load.done > done + 20, seconds=30)
        assert load.failed == [], load.failed[:5]
        assert load.done > 20 * 2 * len(EVERY)


async def test_a_split_is_within_one_percent_of_the_weights(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        await mesh.apply(stage.node(versions=stage.split(88, 12)))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        async with stages.Load(stage.ports["gw-orders"], clients=16) as load:
            await stages.until(lambda: load.done >= 20_000, seconds=180)
        assert load.failed == []
        share = 100 * load.names["two"] / load.done
        assert abs(share - 12) < 1, (share, load.done)  # 4.3 standard deviations


async def test_a_limit_holds_within_five_percent(mesh: Mesh, stage: Any) -> None:
    """Between two refusals the bucket was empty twice, so what was let through is what was filled in: no pause of ours changes it."""
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(traffic=Traffic(limit=(Limit(50),))))
        await stages.publish(mesh, "orders", orders)
        passed, refusals = 0, list[tuple[float, int]]()

        async def ask() -> None:
            nonlocal passed
            client = stages.Client(stage.ports["gw-orders"])
            while not refusals or refusals[-1][0] - refusals[0][0] < 6:
                if (await client.get()).status == 200:
                    passed += 1
                else:
                    refusals.append((time.monotonic(), passed))
                await asyncio.sleep(0.01)
            client.close()

        await asyncio.gather(*[ask() for _ in range(4)])
        (began, before), (ended, after) = refusals[0], refusals[-1]
        rate = (after - before) / (ended - began)
        assert abs(rate - 50) < 2.5, rate


async def test_a_shift_of_weights_fills_no_bucket(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        for weight in (100, 99, 98, 97):
            traffic = Traffic(limit=(Limit(5, per=3600),))
            await mesh.apply(stage.node(versions=stage.split(weight, 100 - weight), traffic=traffic))
            await stages.publish(mesh, "orders", one)
            await stages.publish(mesh, "orders", two, version="v2")
            client = stages.Client(stage.ports["gw-orders"])
            for _ in range(15):
                await client.get()
            client.close()
        assert one.seen == 5 and two.seen <= 5, (one.seen, two.seen)


async def test_retries_never_exceed_their_budget(mesh: Mesh, stage: Any) -> None:
    """Of what is under way at most a fifth are retries: four first tries for each, once every request fails."""
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(traffic=Traffic(retries=Retries(attempts=5, on="5xx", budget=20))))
        await stages.publish(mesh, "orders", orders)
        asked, ends = 0, time.monotonic() + 6

        async def ask() -> None:
            nonlocal asked
            client = stages.Client(stage.ports["gw-orders"])
            while time.monotonic() < ends:
                asked += 1
                assert (await client.get("/fail?slow")).status == 500
            client.close()

        await asyncio.gather(*[ask() for _ in range(40)])
        retries = orders.seen - asked
        assert 0 < retries <= 0.25 * asked * 1.1, (retries, asked)


async def test_a_breaker_opens_and_closes_as_declared(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        over = 1.0
        await mesh.apply(stage.node(traffic=Traffic(retries=Retries(), breaker=Breaker(consecutive=5, over=over))))
        await stages.publish(mesh, "orders", orders)
        client = stages.Client(stage.ports["gw-orders"])
        for _ in range(3):
            assert [(await client.get("/fail")).status for _ in range(4)] == [500] * 4
            assert (await client.get()).status == 200, "a good answer begins the count anew"
        found = Counter([(await client.get("/fail")).status for _ in range(5)])
        opened = time.monotonic()
        assert found == {500: 5}
        await stages.until_async(lambda: _is(client, 503), seconds=0.9 * over)
        seen = orders.seen
        assert (await client.get()).status == 503 and orders.seen == seen, "the replica is spared"
        await stages.until_async(lambda: _is(client, 200), seconds=20)
        assert time.monotonic() - opened >= over * 0.9
        client.close()


async def _is(client: Any, status: int) -> bool:
    return bool((await client.get()).status == status)


async def test_a_mirror_that_fails_or_sleeps_changes_no_answer(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        two.always = "/fail?slow"
        await mesh.apply(stage.node(versions=stage.split(100, 0), traffic=Traffic(mirror=Mirror("v2"))))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        async with stages.Load(stage.ports["gw-orders"], pause=0.02) as load:
            await stages.until(lambda: load.done >= 1000, seconds=60)
        assert load.failed == [] and set(load.names) == {"one"}
        await stages.until(lambda: two.seen >= one.seen - 8, seconds=20)
