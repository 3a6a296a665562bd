"""The state database through `kill -9` and a disk that is really full."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from aiculturekit import state
from aiculturekit.errors import HostTrouble
from aiculturekit.locator import Locator
from aiculturekit.state import documents, operations, releases, replicas, settings
from aiculturekit.state.databases import Database

pytestmark = pytest.mark.integration
ROUNDS = 6
STEPS = 3


def opened(file: Path) -> Database:
    return state.open(Locator("sqlite", path=f"/{file}"))


async def _write_for_ever(file: Path) -> None:
    """Release after release, each acknowledged on stdout once the database has it."""
    database = opened(file)
    for operation in await database.run(operations.unfinished):
        await database.run(operations.finish, operation.id, state="failed", error=None, now=1.0)
        await database.run(releases.finish, "shop", operation.release or 0, state="failed", now=1.0)
    while True:
        identifier, number = await database.run(_begin)
        _tell("begun", number)
        for at in range(STEPS):
            await database.run(operations.mark, identifier, index=at, state="started")
            document = {"kind": "workload", "name": f"{number}-{at}", "body": {"filler": "x" * 2000}}
            await database.run(
                operations.complete, identifier, index=at, app="shop", document=document, remove=_outdated(number, at)
            )
            await database.run(replicas.put, _record(number, at))
            _tell("step", number, at)
        await database.run(_finish, identifier, number)
        _tell("done", number)


def _tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _begin(connection: Connection) -> tuple[int, int]:
    steps = [{"action": "create", "kind": "workload", "name": str(at)} for at in range(STEPS)]
    texts = {"environment": "", "author": "", "reason": "", "file": "", "text": "x" * 5000}
    number = releases.begin(connection, "shop", **texts, documents=[], steps=steps, sources={}, now=1.0)
    identifier = operations.begin(
        connection, app="shop", verb="up", author="", release=number, wanted=[], before=[], steps=steps, now=1.0
    )
    return identifier, number


def _finish(connection: Connection, identifier: int, number: int) -> None:
    operations.finish(connection, identifier, state="done", error=None, now=2.0)
    releases.finish(connection, "shop", number, state="current", now=2.0)


def _outdated(number: int, at: int) -> tuple[str, str] | None:
    return ("workload", f"{number - 20}-{at}") if number > 20 else None


def _record(number: int, at: int) -> dict[str, Any]:
    words = dict.fromkeys(("app", "name", "version", "revision", "log"), "x")
    return {
        "id": f"{at}",
        **words,
        "release": number,
        "pid": number,
        "created": 1.5,
        "port": 1,
        "has_served": False,
        "workload": {},
    }


async def test_what_was_acknowledged_survives_kill_9_again_and_again(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    done = 0
    for round_ in range(ROUNDS):
        lines = _killed_writer(file, after=random.Random(round_).randrange(20, 120))
        database = opened(file)
        done = await _check(database, lines, before=done)
        await database.close()
    assert done > ROUNDS


def _killed_writer(file: Path, *, after: int) -> list[list[str]]:
    """What a writer acknowledged before it was killed somewhere behind its `after`th acknowledgement."""
    writer = subprocess.Popen([sys.executable, __file__, "write", file], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        lines = list(itertools.islice(writer.stdout, after))
        time.sleep(random.random() * 0.005)
    finally:
        os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait(10) == -signal.SIGKILL
    return [line.split() for line in lines if line.endswith("\n")]


async def _check(database: Database, lines: list[list[str]], *, before: int) -> int:
    """Everything that was acknowledged is there, and nothing is half there. Answers the last release that was done."""
    assert await database.run(_integrity) == "ok"
    history = {r.number: r.state for r in await database.run(releases.history, "shop", limit=10_000)}
    assert sorted(history) == list(range(1, len(history) + 1))
    assert list(history.values()).count("current") <= 1
    acknowledged = {word: [int(line[1]) for line in lines if line[0] == word] for word in ("begun", "step", "done")}
    assert len(acknowledged["begun"]) > 1
    assert set(acknowledged["begun"]) <= set(history)
    assert {history[number] for number in acknowledged["done"]} <= {"current", "superseded"}
    await _check_steps(database, [(line[1], line[2]) for line in lines if line[0] == "step"])
    last = max((number for number, state_ in history.items() if state_ == "current"), default=0)
    assert last >= max(acknowledged["done"], default=before)
    return last


async def _check_steps(database: Database, acknowledged: list[tuple[str, str]]) -> None:
    """A step is done exactly when its document is in force."""
    names = {document["name"] for document in await database.run(documents.of_app, "shop")}
    assert {f"{number}-{at}" for number, at in acknowledged[-30:]} <= names
    for operation in await database.run(operations.unfinished):
        finished = {f"{operation.release}-{step.index}" for step in operation.steps if step.state == "done"}
        assert finished == {name for name in names if name.startswith(f"{operation.release}-")}
    pids = {record["id"]: record["pid"] for record in await database.run(replicas.all)}
    number, at = acknowledged[-1]
    assert pids[at] >= int(number)


def _integrity(connection: Connection) -> str:
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    return str(found)


async def _open_for_ever(folder: Path) -> None:
    for at in itertools.count():
        _tell(at)
        await opened(folder / f"{at}.db").close()


def test_a_database_whose_making_was_killed_is_made_by_the_next_opening(tmp_path: Path) -> None:
    for round_ in range(ROUNDS):
        folder = tmp_path / str(round_)
        folder.mkdir()
        maker = subprocess.Popen([sys.executable, __file__, "open", folder], stdout=subprocess.PIPE, text=True)
        assert maker.stdout is not None
        for _ in range(5):
            maker.stdout.readline()
        time.sleep(random.Random(round_).random() * 0.03)
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait(10)
        maker.stdout.close()
        last = max(folder.glob("*.db"), key=lambda file: int(file.stem))
        database = opened(last)
        asyncio.run(database.run(settings.put, "a", value="1"))
        assert asyncio.run(database.run(_integrity)) == "ok"
        asyncio.run(database.close())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB. Only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "aic-test", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_disk_that_is_really_full_is_said_and_nothing_is_lost(small_disk: Path) -> None:
    database = opened(small_disk / "state.db")
    stored = 0
    with pytest.raises(HostTrouble, match="disk is full"):
        for stored in range(10_000):
            await database.run(settings.put, str(stored), value="x" * 20_000)
    assert stored > 10
    assert await database.run(settings.get, str(stored)) is None
    assert await database.run(settings.get, str(stored - 1)) == "x" * 20_000
    await database.close()
    again = opened(small_disk / "state.db")
    assert await again.run(settings.get, str(stored - 1)) == "x" * 20_000
    await again.close()


def test_a_disk_that_is_full_from_the_start_is_said(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * (2 * 1024 * 1024 - 8192))
    with pytest.raises(HostTrouble, match="disk is full"):
        opened(small_disk / "state.db")
    (small_disk / "filler").unlink()
    database = opened(small_disk / "state.db")
    asyncio.run(database.run(settings.put, "a", value="1"))
    asyncio.run(database.close())


if __name__ == "__main__":
    asyncio.run({"write": _write_for_ever, "open": _open_for_ever}[sys.argv[1]](Path(sys.argv[2])))
