"""PostgreSQL's files and its process: what a crash, a neighbour, a full disk or a wrong hand does to them, and what is said then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from aiculturekit.resources import programs
from aiculturekit.resources.backends.postgres import clusters
from tests.resources.stages import Stage, credentials, stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

(ADMIN,) = credentials("admin")


def eventually(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def with_cache(made: Stage, cache: Path) -> Stage:
    made.ground = dataclasses.replace(made.ground, cache=cache)
    return made


def control(made: Stage, line: str) -> str:
    """What pg_controldata says on that line."""
    command = [made.ground.programs / "pg_controldata", clusters.folder(made.ground)]
    said = programs.run(command, uid=made.ground.uid, directory=made.ground.folder)
    return next(row.partition(":")[2].strip() for row in said.splitlines() if row.startswith(line))


def test_copies_of_the_pristine_cluster_are_systems_of_their_own(tmp_path: Path) -> None:
    with stage("postgres") as one, stage("postgres") as other:
        for made in (one, other):
            with_cache(made, one.ground.folder.parent / "cache").start(ADMIN)
        assert len([folder for folder in (one.ground.folder.parent / "cache").iterdir() if folder.is_dir()]) == 1
        assert control(one, "Database system identifier") != control(other, "Database system identifier")
        for made in (one, other):
            mark = made.ground.folder / "unflushed"
            eventually(lambda mark=mark: not mark.exists(), "its files were not flushed")  # type: ignore[misc]
            with psycopg.connect(made.given(ADMIN)["url"]) as connection:
                connection.execute("CREATE TABLE kept (id int)")
        one.stop()
        assert control(one, "Database cluster state") == "shut down", "a checkpoint ends it"
