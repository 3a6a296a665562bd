"""What the mesh costs a request at a steady rate (ingress -> mTLS -> service, against the service directly), and how fast a large mesh
takes up a changed rule."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Entry, Node, Service, Version
from aiculturekit.mesh.rules import Edits, Headers, Match, Pattern, Redirect, Route, Traffic
from benchmarks import peers
from benchmarks.gateway import nginx_application
from benchmarks.memory import resident
from benchmarks.products import product
from benchmarks.tables import Row, program

RATE, CLIENTS = 1000, 2
ROUTES, SERVICES = 1000, 200
CHANGES = 9


def run(*, quick: bool = False) -> Iterator[Row]:
    yield from _latency(rounds=3 if quick else 11, seconds=3)
    yield from uvloop.run(_scale())


def _latency(*, rounds: int, seconds: int) -> Iterator[Row]:
    """Rounds in turn, so that whatever else the machine does meets both."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(product())
        made.aic("up", "-d", str(nginx_application(folder / "app")))
        direct = stack.enter_context(peers.nginx(folder / "direct"))
        ports = {"mesh": made.ingress, "direct": direct}
        times: dict[str, list[list[float]]] = {name: [] for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                times[name].append(_steady(port, seconds=seconds, log=folder / "log"))
    for share, bar in ((50, ""), (99, "adds <= 1 ms")):
        mesh, alone = ([_percentile(one, share) for one in times[name]] for name in ("mesh", "direct"))
        what = f"p{share} at {RATE:,} requests/s through two hops with mTLS"
        yield Row(what, statistics.median(mesh), "ms", "directly", statistics.median(alone), bar)
        added = statistics.median(through - plain for through, plain in zip(mesh, alone, strict=True))
        yield Row(
            f"p{share} added by the mesh, in the middle of {rounds} rounds", added, "ms", bar="<= 1" if bar else ""
        )


def _steady(port: int, *, seconds: int, log: Path) -> list[float]:
    """Milliseconds of each answer at RATE over CLIENTS connections, from when its request was sent; those of the first half second are left
    out. A generator in C: one in Python takes a third of a core, and half of the time that it measures is its own."""
    rate = f"--rps={RATE // CLIENTS}"
    words = ["--h1", "-t1", f"-c{CLIENTS}", rate, f"-D{seconds}", f"--log-file={log}", f"http://127.0.0.1:{port}/"]
    log.unlink(missing_ok=True)
    subprocess.run([program("h2load", package="nghttp2-client"), *words], check=True, capture_output=True)
    rows = [line.split() for line in log.read_text().splitlines()]
    if any(status != "200" for _, status, _ in rows) or len(rows) < RATE * seconds * 0.9:
        raise RuntimeError(f"{len(rows)} answers, not all of them good")
    return [int(microseconds) / 1000 for _, _, microseconds in rows][RATE // 2 :]


def _percentile(times: list[float], share: int) -> float:
    return sorted(times)[len(times) * share // 100]


async def _scale() -> list[Row]:
    what = f"{SERVICES} services with identities of their own, {ROUTES:,} routes"
    ports = _free(3 * SERVICES + 1)
    with tempfile.TemporaryDirectory() as home:
        mesh = Mesh(home=Path(home), node="benchmark")
        await mesh.start()
        try:
            started = time.perf_counter()
            await mesh.apply(_node(ports, change=0))
            first = time.perf_counter() - started
            times = [await _changed(mesh, _node(ports, change=n), ports[0], n) for n in range(1, CHANGES + 1)]
            assert mesh.pid is not None
            memory = resident(mesh.pid)
        finally:
            await mesh.stop()
        with peers.envoy(Path(home) / "idle", upstream=None) as (_, pid):
            idle = resident(pid)
    return [
        Row(f"{what}: from nothing, certificates included", first * 1000, "ms"),
        Row(f"{what}: one rule changed, until an answer shows it", statistics.median(times) * 1000, "ms", bar="< 500"),
        Row(f"{what}: Envoy's memory (PSS)", memory[0], "MB", "an Envoy with nothing to do", idle[0]),
    ]


def _free(count: int) -> list[int]:
    """Different ones, since all are held until the last is found."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


async def _changed(mesh: Mesh, node: Node, ingress: int, change: int) -> float:
    """Seconds from the call until the ingress answers by the new rule."""
    wanted, started = f"/changed-{change}".encode(), time.perf_counter()
    applying = asyncio.create_task(mesh.apply(node))
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress)
    while True:
        writer.write(b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n")
        if wanted in await reader.readuntil(b"\r\n\r\n"):
            break
        await asyncio.sleep(0.002)
    took = time.perf_counter() - started
    writer.close()
    await applying
    return took


def _node(ports: list[int], *, change: int) -> Node:
    """A ring: each service needs the next one."""
    ingress, *free = ports
    inbound, rest = free[:SERVICES], free[SERVICES:]
    made = [
        Service(
            "big",
            f"s{at}",
            (Version("v1", inbound[at]),),
            callers=(f"s{(at - 1) % SERVICES}", *(["ingress"] if at == 0 else [])),
            traffic=Traffic(routes=tuple(_route(n, change if at == 0 else 0) for n in range(ROUTES // SERVICES))),
        )
        for at in range(SERVICES)
    ]
    callers = [
        Caller("big", f"s{at}", rest[2 * at], {f"s{(at + 1) % SERVICES}": rest[2 * at + 1]}) for at in range(SERVICES)
    ]
    return Node(ingress, tuple(made), tuple(callers), (Entry("big", "/", "s0"),))


def _route(number: int, change: int) -> Route:
    if number == 0:
        return Route(Match(path=Pattern(prefix="/probe")), redirect=Redirect(f"/changed-{change}"))
    headers = Headers(request=Edits(set={"x-route": str(number)}))
    return Route(Match(path=Pattern(prefix=f"/r{number}")), timeout=5.0, headers=headers)
