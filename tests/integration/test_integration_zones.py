"""Places of replicas with the real Envoy: how much each gets as the first one fails, and that losing it costs no request."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Replica
from aiculturekit.mesh.rules import Breaker, Traffic
from benchmarks.loads import Load
from benchmarks.products import Product, application, product
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
ZONES = ("eu-west/a", "eu-west/b", "us-east")


@dataclasses.dataclass
class Places:
    """Two replicas of orders in each place, and who calls them."""

    mesh: Mesh
    stage: Any
    standing: dict[str, list[Any]]

    async def publish(self, *lost: Any) -> None:
        """As the engine does while the lost ones are down."""
        listed = [
            Replica(one.port, zone, rank, one not in lost)
            for rank, (zone, replicas) in enumerate(self.standing.items())
            for one in replicas
        ]
        await self.mesh.publish("shop", "orders", version="v1", ports=listed)

    async def rule(self, **traffic: Any) -> None:
        await self.mesh.apply(self.stage.node(traffic=Traffic(zones=ZONES, **traffic), callers=("gw", "ingress")))

    async def shares(self, count: int = 400) -> dict[str, float]:
        """Zone -> its part of so many requests, all of which are answered."""
        client, found = stages.Client(self.stage.ports["gw-orders"]), Counter[str]()
        for _ in range(count):
            answer = await client.get()
            assert answer.status == 200, answer.body
            found[str(answer.json["name"])] += 1
        return {zone: found[zone] / count for zone in self.standing}


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[Places]:
    async with stages.running(tmp_path) as mesh, contextlib.AsyncExitStack() as stack:
        standing = {zone: [await stack.enter_async_context(stages.Replica(zone)) for _ in range(2)] for zone in ZONES}
        found = Places(mesh, stages.Stage(), standing)
        await found.rule()
        await found.publish()
        yield found


def about(share: float) -> Any:
    """Of 400 draws, within more than four standard deviations."""
    return pytest.approx(share, abs=0.1)


async def test_the_first_place_takes_everything_while_it_is_well(places: Places) -> None:
    assert await places.shares() == {"eu-west/a": 1.0, "eu-west/b": 0.0, "us-east": 0.0}


async def test_a_place_that_is_half_well_takes_seven_tenths(places: Places) -> None:
    """1.4 times its healthy share (Envoy's overprovisioning factor), and the next place the rest."""
    one, _ = places.standing["eu-west/a"]
    one.die()
    await places.publish(one)
    found = await places.shares()
    assert (found["eu-west/a"], found["eu-west/b"], found["us-east"]) == (about(0.7), about(0.3), 0.0)


async def test_a_place_that_is_gone_hands_over_to_the_next_and_takes_it_back(places: Places) -> None:
    gone = [*places.standing["eu-west/a"]]
    await places.publish(*gone)
    assert (await places.shares())["eu-west/b"] == 1.0
    gone += places.standing["eu-west/b"]
    await places.publish(*gone)
    assert (await places.shares())["us-east"] == 1.0
    await places.publish()
    assert (await places.shares())["eu-west/a"] == 1.0


async def test_a_place_that_dies_costs_no_request_before_anybody_has_noticed(places: Places) -> None:
    """Nothing is published: the retry goes to the next place, until the ejections shift the priority."""
    async with stages.Load(places.stage.ports["gw-orders"], clients=8) as load:
        await stages.until(lambda: load.names["eu-west/a"] > 100, seconds=30)
        for one in places.standing["eu-west/a"]:
            one.die()
        before = load.names["eu-west/b"]
        await stages.until(lambda: load.names["eu-west/b"] > before + 500, seconds=30)
    assert load.failed == []


async def test_replicas_whose_answers_fail_make_their_place_unwell(places: Places) -> None:
    await places.rule(breaker=Breaker(consecutive=3, over=60.0))
    for one in places.standing["eu-west/a"]:
        one.always = "/fail"
    client = stages.Client(places.stage.ports["gw-orders"])
    in_a_row = 0

    async def is_settled() -> bool:
        nonlocal in_a_row
        answer = await client.get()
        in_a_row = in_a_row + 1 if answer.status == 200 else 0
        return in_a_row > 20

    await stages.until_async(is_settled, seconds=30)
    assert (await places.shares(100))["eu-west/b"] == 1.0


async def test_all_places_gone_is_a_503_and_said(places: Places) -> None:
    await places.publish(*(one for standing in places.standing.values() for one in standing))
    client = stages.Client(places.stage.ports["gw-orders"])
    assert {(await client.get()).status for _ in range(5)} == {503}
    await places.mesh.edges()
    assert {(await client.get()).status for _ in range(5)} == {503}
    [edge] = [e for e in await places.mesh.edges() if (e.source, e.target) == ("gw", "orders")]
    assert (edge.hosts, edge.unserved) == (0, True)


SERVER = """\
import os, pathlib, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
zone = os.environ["AIC_ZONE"]
if pathlib.Path(__file__).with_name("lost-" + zone).exists(): sys.exit("this place is lost")
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        raw = zone.encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FILE = """\
app: places
services:
  web:
    run: exec python3 server.py
    public: /
    scale: 4
    traffic: {zones: [a, b]}
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Product, Path]]:
    folder = application(tmp_path / "places", FILE)
    (folder / "server.py").write_text(SERVER)
    with product() as made:
        made.aic("up", "-d", str(folder))
        yield made, folder


def instances(made: Product) -> list[dict[str, Any]]:
    api, token = made.status()["api"], (made.home / "token").read_text()
    asked = urllib.request.Request(
        f"{api}/api/v1/apps/places/workloads/web", headers={"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer)["instances"]
    return found


def until(condition: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def grown(load: Load, zone: str, count: int) -> Callable[[], bool]:
    before = load.versions[zone]
    return lambda: load.versions[zone] > before + count


def test_losing_a_place_under_load_costs_no_request_and_it_comes_back(running: tuple[Product, Path]) -> None:
    made, folder = running
    standing = instances(made)
    assert sorted(one["zone"] for one in standing) == ["a", "a", "b", "b"]
    load = Load(made.ingress, rate=100)
    with load.running(longest=150):
        until(grown(load, "a", 100), what="the first place serves")
        assert load.versions["b"] == 0
        (folder / "lost-a").touch()
        for one in standing:
            if one["zone"] == "a":
                os.kill(one["pid"], signal.SIGKILL)
        until(grown(load, "b", 200), what="the second place takes over")
        (folder / "lost-a").unlink()
        until(grown(load, "a", 100), what="the first place is back")
    assert load.failed == 0, load.results


def test_a_daemon_that_returns_knows_who_stands_where(running: tuple[Product, Path]) -> None:
    made, _ = running
    before = {one["id"]: (one["zone"], one["pid"]) for one in instances(made)}
    os.kill(made.status()["daemon"]["pid"], signal.SIGKILL)
    made.aic("up", "-d", str(running[1]))
    assert {one["id"]: (one["zone"], one["pid"]) for one in instances(made)} == before
    load = Load(made.ingress, rate=100)
    with load.running(longest=60):
        until(grown(load, "a", 50), what="the first place serves")
    assert (load.failed, load.versions["b"]) == (0, 0)
