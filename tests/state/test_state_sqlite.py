"""SQLite's files: who may read them, and what is said when the machine does not play along."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from aiculturekit import state
from aiculturekit.errors import AicError, Busy, HostTrouble, LocatorError
from aiculturekit.locator import Locator
from aiculturekit.state import changes, settings
from aiculturekit.state.databases import Database


def url(file: Path, **options: str) -> Locator:
    return Locator("sqlite", path=f"/{file}", options=options)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = state.open(url(tmp_path / "state.db", timeout="0.1"))
    yield opened
    await opened.close()


async def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    before = os.umask(0)
    try:
        opened = state.open(url(home / "state.db"))
        await opened.run(settings.put, "a", value="1")
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    await opened.close()
    assert [file.name for file in home.iterdir()] == ["state.db"]


async def test_names_of_folders_may_be_anything(tmp_path: Path) -> None:
    for name in ("with space", "q?a=b@c#%41", "中文", os.fsdecode(b"\xff")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "state.db"
        opened = state.open(url(file).reveal())
        await opened.close()
        assert file.is_file()


async def test_a_relative_path_has_three_slashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await state.open("sqlite:///here.db").close()
    assert (tmp_path / "here.db").is_file()


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:x.db",
        "sqlite://host/x.db",
        "sqlite:////tmp/x?mode=ro",
        "memory://x",
        "mysql://h/x",
    ],
)
def test_a_url_that_names_no_database_is_refused(bad: str) -> None:
    with pytest.raises(LocatorError) as caught:
        state.open(bad)
    assert caught.value.hint


async def test_two_databases_in_memory_are_strangers() -> None:
    one, other = state.open("memory://"), state.open("memory://")
    await one.run(settings.put, "a", value="1")
    assert await other.run(settings.get, "a") is None
    await one.close()
    await other.close()


async def test_a_full_disk_is_said_and_nothing_is_lost(database: Database) -> None:
    await database.run(settings.put, "a", value="kept")
    pages = await database.run(_scalar, "PRAGMA page_count")
    await database.run(_scalar, f"PRAGMA max_page_count={pages}")
    with pytest.raises(HostTrouble, match="disk is full") as caught:
        await database.run(settings.put, "b", value="x" * 100_000)
    assert database.where in caught.value.message
    assert "free some space" in caught.value.hint
    assert await database.run(settings.get, "a") == "kept"
    await database.run(_scalar, f"PRAGMA max_page_count={pages + 100}")
    await database.run(settings.put, "b", value="x" * 100_000)


async def test_another_writer_is_waited_for_and_then_said(database: Database, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="locked") as caught:
            await database.run(settings.put, "a", value="1")
        assert "aic doctor" in caught.value.hint
        other.execute("COMMIT")
    await database.run(settings.put, "a", value="1")


async def test_a_reader_is_never_in_the_way(database: Database, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM settings").fetchall()
        await database.run(settings.put, "a", value="1")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    content = b"not a database at all, but long enough to be read as the header of one" * 20
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(HostTrouble, match="damaged") as caught:
        state.open(url(tmp_path / "state.db"))
    assert "move it" in caught.value.hint
    assert (tmp_path / "state.db").read_bytes() == content


async def test_damage_within_is_said(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    opened = state.open(url(file))
    await opened.run(settings.put, "a", value="x" * 50_000)
    await opened.close()
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(HostTrouble, match="damaged"):
        opened = state.open(url(file))
        await opened.run(settings.get, "a")


async def test_an_error_of_our_own_is_not_dressed_up(database: Database) -> None:
    with pytest.raises(Exception, match="no such table") as caught:
        await database.run(_scalar, "SELECT * FROM nowhere")
    assert not isinstance(caught.value, AicError)


async def test_values_never_show_in_errors(database: Database) -> None:
    def wrong(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "hunter2"})

    with pytest.raises(Exception, match="nowhere") as caught:
        await database.run(wrong)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("prepared", ["nothing", "a database"])
def test_a_folder_that_is_read_only_is_said(tmp_path: Path, prepared: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if prepared == "a database":
        asyncio.run(state.open(url(home / "state.db")).close())
    home.chmod(0o500)
    shown = _opened_without_privileges(home / "state.db")
    home.chmod(0o700)
    assert "HostTrouble" in shown
    assert f"{home / 'state.db'} cannot be written" in shown
    assert "AIC_HOME" in shown


def test_a_file_that_is_read_only_is_said(tmp_path: Path) -> None:
    asyncio.run(state.open(url(tmp_path / "state.db")).close())
    (tmp_path / "state.db").chmod(0o400)
    assert "cannot be written" in _opened_without_privileges(tmp_path / "state.db")


def _opened_without_privileges(file: Path) -> str:
    """What opening and writing says where permissions count: root gives up its capability to ignore them."""
    code = (
        "import asyncio, sys; from aiculturekit import state; from aiculturekit.state import settings\n"
        "async def main():\n"
        "    database = state.open(sys.argv[1])\n"
        "    await database.run(settings.put, 'a', value='1')\n"
        "try: asyncio.run(main())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, url(file).reveal()]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root ignores permissions, and there is no setpriv to give that up")
        command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", *command]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_only_what_must_survive_a_power_cut_is_forced_to_the_disk(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("needs strace, and to be allowed to use it")
    plain = _flushes(strace, tmp_path / "plain", forced=0, relaxed=0)
    forced = _flushes(strace, tmp_path / "forced", forced=20, relaxed=0)
    relaxed = _flushes(strace, tmp_path / "relaxed", forced=0, relaxed=20)
    assert forced - plain >= 20
    assert relaxed - plain <= 1


def _flushes(strace: str, folder: Path, *, forced: int, relaxed: int) -> int:
    """How often a process that writes so many transactions waits for the disk."""
    folder.mkdir()
    command = [sys.executable, __file__, str(folder / "state.db"), str(forced), str(relaxed)]
    trace = folder / "trace"
    subprocess.run([strace, "-f", "-e", "trace=fsync,fdatasync", "-o", trace, *command], check=True, timeout=60)
    return sum("sync(" in line for line in trace.read_text().splitlines())


async def _write(file: Path, *, forced: int, relaxed: int) -> None:
    opened = state.open(url(file))
    for at in range(forced):
        await opened.run(settings.put, "a", value=str(at))
    for at in range(relaxed):
        change = {"app": "a", "workload": "w", "kind": "k", "message": "m", "level": "info", "author": ""}
        await opened.run(changes.append, at=float(at), **change)
    await opened.close()


def _scalar(connection: Connection, statement: str) -> Any:
    return connection.exec_driver_sql(statement).scalar()


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1]), forced=int(sys.argv[2]), relaxed=int(sys.argv[3])))
