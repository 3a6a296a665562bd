"""What was acknowledged is there, whoever is killed: the database's server, the daemon, or both at once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.products import Product, application
from tests.integration.test_integration_resources import app, asked, own

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
ROUNDS = int(os.environ.get("AIC_ROUNDS", "6"))
__all__ = ["own"]
KILLED = (("server",), ("daemon",), ("server", "daemon"))
WITHIN = 60.0


def test_no_acknowledged_row_is_lost_and_all_is_up_again_by_itself(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path / "library")
    own.aic("up", "-d", str(folder))
    assert asked(own, "keeper", "CREATE TABLE books (id bigserial PRIMARY KEY)")[0] == 200
    acknowledged: list[int] = []
    longest = 0.0
    for number in range(ROUNDS):
        for _ in range(20):
            acknowledged += written(own)
        for who in KILLED[number % len(KILLED)]:
            os.kill(pid(own, who), signal.SIGKILL)
        killed_at = time.monotonic()
        acknowledged += again(own, folder)
        longest = max(longest, time.monotonic() - killed_at)
        found = asked(own, "reader", "SELECT array_agg(id) FROM books")
        assert isinstance(found[1], list)
        assert set(acknowledged) <= set(found[1][0][0]), f"round {number}: something is lost"
    print(f"{ROUNDS} rounds, {len(acknowledged)} acknowledged, back after {longest:.1f} s at most")  # noqa: T201


def test_the_next_daemon_knows_every_server(own: Product, tmp_path: Path) -> None:
    text = "app: kinds\nresources:\n  one-db: {type: postgres}\n  two-db: {type: redis}\n  bus: {type: nats}\n  files: {type: s3}\n  mail: {type: smtp}\n"
    folder = application(tmp_path / "kinds", text)
    own.aic("up", "-d", str(folder))
    before = {row["name"]: row["pids"] for row in own.status()["workloads"]}
    os.kill(pid(own, "daemon"), signal.SIGKILL)
    own.aic("up", "-d", str(folder))
    assert {row["name"]: row["pids"] for row in own.status()["workloads"]} == before


def written(made: Product) -> list[int]:
    """The number of a row whose commit was acknowledged; none where it was not."""
    status, rows = asked(made, "writer", "INSERT INTO books DEFAULT VALUES RETURNING id")
    return [rows[0][0]] if status == 200 and isinstance(rows, list) else []


def pid(made: Product, who: str) -> int:
    status = made.status()
    if who == "daemon":
        return int(status["daemon"]["pid"])
    return int(next(row["pids"][0] for row in status["workloads"] if row["name"] == "books-db"))


def again(made: Product, folder: Path) -> list[int]:
    """The first row that is written after all, by which the application is up again. A server comes back by the daemon, a daemon with the
    next command; this one changes nothing but waits until all is well."""
    made.aic("up", "-d", str(folder))
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if rows := written(made):
            return rows
        time.sleep(0.2)
    raise AssertionError(f"not up again within {WITHIN:g} s: {made.aic('ps')}")
