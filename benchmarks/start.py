"""How long `aic up` takes on the shop: daemon cold, and with nothing changed. The peer is starting the same processes by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from aiculturekit import shells
from benchmarks.products import SHOP, Product, product
from benchmarks.tables import Row


@dataclasses.dataclass(frozen=True)
class Started:
    """One process of the shop as the engine keeps it, to be started again by hand."""

    kind: str
    command: str
    directory: str
    environment: dict[str, str]


def run(*, quick: bool = False) -> Iterator[Row]:
    rounds = 3 if quick else 5
    with product() as made:
        made.set(AIC_ISOLATION="off")  # so that what it runs can be run from here too
        yield Row(
            "first start: environment, databases, migrations", made.timed("up", "-d", str(SHOP)), "s", bar="<= 4 s"
        )
        processes = _running(made)
        cold, bare = [], []
        for _ in range(rounds):
            made.aic("server", "stop")
            bare.append(_by_hand(processes))
            cold.append(made.timed("up", "-d", str(SHOP)))
            _check(made)
        again = [made.timed("up", "-d", str(SHOP)) for _ in range(2 * rounds)]
    peer = statistics.median(bare)
    yield Row(
        "cold daemon to all workloads healthy",
        statistics.median(cold),
        "s",
        "the same nine processes alone",
        peer,
        "<= 3 s",
    )
    yield Row("up again, nothing changed", statistics.median(again), "s", bar="<= 0.3 s")


def _check(made: Product) -> None:
    states = {row["name"]: row["state"] for row in made.status()["workloads"]}
    if set(states.values()) != {"ready"}:
        raise RuntimeError(f"not healthy: {states}")


def _running(made: Product) -> list[Started]:
    """All that runs, with addresses that lead to the databases themselves instead of through the mesh."""
    with contextlib.closing(sqlite3.connect(made.home / "state.db")) as database:
        rows = [(json.loads(text), str(port)) for text, port in database.execute("SELECT workload, port FROM replicas")]
    own = {workload["key"]["name"]: port for workload, port in rows if workload["kind"] == "resource"}
    return [
        Started(
            workload["kind"],
            workload["command"],
            workload["directory"],
            _direct(workload["environment"], own) | {"PORT": port},
        )
        for workload, port in rows
    ]


def _direct(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    urls = {f"{name.upper().replace('-', '_')}_URL": port for name, port in own.items()}
    return {
        name: value.replace(f":{urlsplit(value).port}", f":{urls[name]}") if name in urls else value
        for name, value in environment.items()
    }


def _by_hand(processes: Sequence[Started]) -> float:
    """Seconds until each of the shop's services answers its health check, everything started at once."""
    started = time.perf_counter()
    running = [
        (
            one.kind,
            subprocess.Popen(
                ["/bin/sh", "-c", shells.command(one.command)],
                cwd=one.directory,
                env=one.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ),
        )
        for one in processes
    ]
    try:
        for one in processes:
            if one.kind == "service":
                _healthy(int(one.environment["PORT"]))
        return time.perf_counter() - started
    finally:
        for kind in ("service", "resource"):
            ended = [process for its, process in running if its == kind]
            for process in ended:
                process.terminate()
            for process in ended:
                process.wait(20)


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
