"""Memory of the platform while the shop runs idle: proportional set size and anonymous memory of the daemon and of Envoy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.products import SHOP, product
from benchmarks.tables import Row


def run(*, quick: bool = False) -> Iterator[Row]:
    with product() as made, tempfile.TemporaryDirectory() as folder:
        made.aic("up", "-d", str(SHOP))
        time.sleep(5 if quick else 20)
        status = made.status()
        servers = {
            row["name"]: sum(resident(pid)[0] for pid in _family(row["pids"][0]))
            for row in status["workloads"]
            if row["kind"] == "resource"
        }
        daemon, envoy = resident(status["daemon"]["pid"]), resident(status["envoy"]["pid"])
        with peers.envoy(Path(folder), upstream=None) as (_, pid):
            time.sleep(1)
            idle = resident(pid)
    name = "an Envoy with nothing to do"
    yield Row("daemon + Envoy, proportional set size", daemon[0] + envoy[0], "MB", name, idle[0], "<= 150, goal 128")
    yield Row("daemon + Envoy, anonymous", daemon[1] + envoy[1], "MB", name, idle[1], "<= 90")
    yield Row("daemon alone, proportional set size", daemon[0], "MB")
    yield Row("Envoy alone, proportional set size", envoy[0], "MB", name, idle[0])
    yield Row("Envoy alone, anonymous", envoy[1], "MB", name, idle[1])
    for server, size in servers.items():
        yield Row(f"the shop's {server}, proportional set size", size, "MB")


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def resident(pid: int) -> tuple[float, float]:
    """(PSS, anonymous part of it) in MB."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        fields[name.rstrip(":")] = int(value) / 1024
    return fields["Pss"], fields["Pss_Anon"]
