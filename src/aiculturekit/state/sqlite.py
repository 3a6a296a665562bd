"""SQLite: the default state database, one file; and the same in memory, as the double for everybody's tests.

Every transaction begins as a writer. One that began as a reader and then wrote could find another process's commit in
its way and would fail at once, whatever the timeout; and numbers that are read and then written are free of gaps only
so.

How much is forced to the disk: the journal is kept so that a power cut between "begun" and "done" can be told, which
holds only if it is on the disk (synchronous=FULL) before the first step. Steps' marks and replicas
(`databases.relaxed`) are read after a crash of the daemon, which the kernel outlives, and are observed anew after a
power cut: NORMAL, no flush.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, Pool, QueuePool, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from aiculturekit.errors import AicError, Busy, HostTrouble, LocatorError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.state.databases import RELAXED, Database, prepared

_MEGABYTE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """`timeout` is the seconds that a transaction waits for another process's."""

    timeout: float = 5.0


def open_file(locator: Locator) -> Database:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`; the file is made, readable by its owner only."""
    options = locator.options_as(Options)
    file = _file(locator)
    _make(file)
    engine = _engine(str(file), timeout=options.timeout, pool=QueuePool)
    return prepared(engine, where=str(file), translate=lambda error: translate(error, file=file))


def open_memory(locator: Locator) -> Database:
    """`memory://`: gone when it is closed."""
    locator.options_as(Options)
    if locator.hosts or locator.path not in ("", "/"):
        raise LocatorError(say("memory:// takes no host and no path"), hint=say("write memory://"))
    engine = _engine(":memory:", timeout=0, pool=StaticPool)
    return prepared(engine, where="memory://", translate=lambda error: translate(error, file=Path()))


def translate(error: DBAPIError, *, file: Path) -> AicError | None:
    """SQLite's error by its name (https://sqlite.org/rescode.html); None for what only a bug of ours can cause."""
    name = getattr(error.orig, "sqlite_errorname", "")
    match name.removeprefix("SQLITE_").partition("_")[0]:
        case "FULL":
            return _disk_full(file)
        case "BUSY" | "LOCKED":
            return _busy(file)
        case "READONLY" | "PERM" | "CANTOPEN" | "AUTH":
            return _not_writable(file)
        case "CORRUPT" | "NOTADB":
            return _damaged(file)
        case "IOERR":
            return _disk_full(file) if _is_full(file) else _disk_failed(file, name=name)
    return None


def _engine(file: str, *, timeout: float, pool: type[Pool]) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver begins nothing by itself; `_begin` does. One worker thread uses the
        # connection, after the thread that opened it.
        connection = sqlite3.connect(file, timeout=timeout, isolation_level=None, check_same_thread=False)
        _write_ahead(connection, deadline=time.monotonic() + timeout)
        for pragma in ("foreign_keys=ON", "fullfsync=ON", f"journal_size_limit={16 * _MEGABYTE}"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    size = {"pool_size": 1, "max_overflow": 0} if pool is QueuePool else {}
    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=pool, hide_parameters=True, **size)
    event.listen(engine, "begin", _begin)
    return engine


def _write_ahead(connection: sqlite3.Connection, *, deadline: float) -> None:
    """WAL mode. SQLite does not wait for its timeout where two processes switch a fresh file at once, so this does."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                connection.close()
                raise
        time.sleep(0.01)


def _begin(connection: Connection) -> None:
    level = "NORMAL" if connection.get_execution_options().get(RELAXED) else "FULL"
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")  # takes effect only outside a transaction
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _file(locator: Locator) -> Path:
    if locator.hosts or locator.username is not None or locator.opaque or locator.path.strip("/") == "":
        raise LocatorError(
            say("sqlite: the URL names no file"),
            hint=say("write sqlite:////absolute/path.db (four slashes) or sqlite:///relative.db"),
        )
    return Path(locator.path[1:]).expanduser()


def _make(file: Path) -> None:
    """The file, before SQLite makes it readable by everybody: it keeps the environments of workloads, passwords
    included."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise (_disk_full(file) if _is_full(file) else _not_writable(file)) from error


def _is_full(file: Path) -> bool:
    try:
        return shutil.disk_usage(file.parent).free < _MEGABYTE
    except OSError:
        return False


def _disk_full(file: Path) -> HostTrouble:
    return HostTrouble(
        say("the disk is full: {file} could not be written", file=file),
        hint=say("free some space on it and try again; what was recorded before is safe"),
    )


def _busy(file: Path) -> Busy:
    return Busy(
        say("{file} is locked by another process", file=file),
        hint=say("try again; if it stays so, a second daemon or a database tool has it open: `aic doctor` tells"),
    )


def _not_writable(file: Path) -> HostTrouble:
    return HostTrouble(
        say("{file} cannot be written", file=file),
        hint=say(
            "the file and its folder must be yours to write, on a disk that is not read-only; or set another AIC_HOME"
        ),
    )


def _damaged(file: Path) -> HostTrouble:
    return HostTrouble(
        say("{file} is damaged or no SQLite database", file=file),
        hint=say("move it and its -wal and -shm files away, or restore a copy; without one the releases are forgotten"),
    )


def _disk_failed(file: Path, *, name: str) -> HostTrouble:
    return HostTrouble(
        say("the disk failed while {file} was used ({name})", file=file, name=name),
        hint=say("look into the system's log for errors of the disk; a network folder is no place for it"),
    )
