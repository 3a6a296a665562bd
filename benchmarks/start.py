"""How long `aic up` takes on the shop: daemon cold, and with nothing changed. The peer is starting the same processes by hand."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import free_port
from benchmarks.products import SHOP, Product, product
from benchmarks.tables import Row

PROCESSES = ("payment", "payment_v2", "users", "notification", "orders", "api_gateway")


def run(*, quick: bool = False) -> Iterator[Row]:
    rounds = 3 if quick else 5
    with product() as made:
        made.aic("up", "-d", str(SHOP))
        python = next((made.home / "environments").glob("*/bin/python"))
        cold, bare = [], []
        for _ in range(rounds):
            made.aic("server", "stop")
            bare.append(_by_hand(python, made.home))
            cold.append(made.timed("up", "-d", str(SHOP)))
            _check(made)
        again = [made.timed("up", "-d", str(SHOP)) for _ in range(2 * rounds)]
    peer = statistics.median(bare)
    yield Row(
        "cold daemon to all workloads healthy", statistics.median(cold), "s", "the six processes alone", peer, "<= 3 s"
    )
    yield Row("up again, nothing changed", statistics.median(again), "s", bar="<= 0.3 s")


def _check(made: Product) -> None:
    states = {row["name"]: row["state"] for row in made.status()["workloads"]}
    if set(states.values()) != {"ready"}:
        raise RuntimeError(f"not healthy: {states}")


def _by_hand(python: Path, home: Path) -> float:
    """Seconds until each of the shop's processes answers its health check, all started at once."""
    ports = {name: free_port() for name in PROCESSES}
    environment = {
        **os.environ,
        "USERS_DB_URL": f"sqlite:///{home}/bare-users.db",
        "ORDERS_DB_URL": f"sqlite:///{home}/bare-orders.db",
        "USER_SERVICE_URL": "http://127.0.0.1:1",
        "PAYMENT_SERVICE_URL": "http://127.0.0.1:1",
        "NOTIFICATION_URL": "http://127.0.0.1:1",
        "ORDER_SERVICE_URL": "http://127.0.0.1:1",
    }
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            [str(python), "-m", "uvicorn", "main:app", "--port", str(port), "--log-level", "warning"],
            cwd=SHOP / "services" / name,
            env=environment,
        )
        for name, port in ports.items()
    ]
    try:
        for port in ports.values():
            _healthy(port)
        return time.perf_counter() - started
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(10)


def _healthy(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nothing answers on {port}")
