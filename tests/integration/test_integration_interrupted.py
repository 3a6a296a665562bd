"""A daemon that is killed while it goes back to a snapshot: the data is one of the two, whole, and the other is a snapshot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.products import Product, product
from tests.integration.test_integration_resources import app, asked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
APP = ("--app", "library")
PAUSES = (0.4, 0.8, 1.2, 1.6, 2.0, 2.6)
"""Seconds after which the daemon is killed: before, in and after the exchange, which takes about two on an idle machine."""


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def test_a_daemon_that_is_killed_while_it_restores_loses_nothing(own: Product, tmp_path: Path) -> None:
    own.aic("up", "-d", str(app(tmp_path / "library")))
    asked(own, "keeper", "CREATE TABLE books (n int)")
    asked(own, "writer", "INSERT INTO books VALUES (0)")
    own.aic("snapshot", "save", "then", *APP)
    own.aic("resources", "rotate", "books-db", *APP)  # the snapshot knows passwords that nobody has any more
    for number, pause in enumerate(PAUSES, 1):
        asked(own, "writer", f"INSERT INTO books VALUES ({number})")
        command = [sys.executable, "-m", "aiculturekit", "snapshot", "restore", "then", *APP, "--yes"]
        restoring = subprocess.Popen(
            command, env=own._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause)
        os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
        restoring.wait(60)
        found = rows(own, deadline=time.monotonic() + 60)
        assert found in ([0], [0, number]), "then, or now: nothing between"
        if found == [0]:
            own.aic("snapshot", "restore", newest(own), *APP, "--yes")
            assert rows(own, deadline=time.monotonic() + 60) == [0, number], "now is a snapshot"
        own.aic("snapshot", "restore", "then", *APP, "--yes")


def rows(made: Product, *, deadline: float) -> list[int]:
    """What the reader finds, as soon as it finds something."""
    while True:
        newest(made)  # the first command after a kill starts the next daemon
        status, answer = asked(made, "reader", "SELECT n FROM books ORDER BY n")
        if status == 200 and isinstance(answer, list):
            return [row[0] for row in answer]
        assert time.monotonic() < deadline, answer
        time.sleep(0.3)


def newest(made: Product) -> str:
    found = json.loads(made.aic("snapshot", "list", *APP, "--json"))
    return str(found[0]["name"])
