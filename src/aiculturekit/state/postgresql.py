"""PostgreSQL as the state database, by URL. Same transactions as SQLite's: one at a time, over all processes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from aiculturekit.errors import AicError, Busy, HostTrouble, LocatorError, Unreachable
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.state.databases import RELAXED, Database, prepared, translated
from aiculturekit.state.schema import PARTIAL

for _index, _where in PARTIAL.items():
    _index.dialect_options["postgresql"]["where"] = _where

# One lock for each schema of the database: the same order of transactions that SQLite's BEGIN IMMEDIATE gives, for as
# long as the transaction. 0x61696373 is "aics".
_BEGIN = "SELECT pg_advisory_xact_lock(1634296691, hashtext(current_schema()))"
_RELAX = ", set_config('synchronous_commit', 'off', true)"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """`schema` holds the tables and is made; `timeout` and `connect_timeout` are seconds; `host` is a folder with a
    socket."""

    schema: str = "public"
    timeout: float = 5.0
    connect_timeout: int = 5
    host: str | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None


def open_server(locator: Locator) -> Database:
    """`postgresql://user:password@host:5432/database?schema=aic`; several hosts are tried in turn, the first writable
    serves."""
    options = locator.options_as(Options)
    if not _SCHEMA.fullmatch(options.schema):
        raise LocatorError(say("postgresql: option schema must be a lower-case name"))
    where = str(locator)
    engine = _engine(_parameters(locator, options))
    try:
        with translated(lambda error: translate(error, where=where)), engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {options.schema}")
    except BaseException:
        engine.dispose()
        raise
    return prepared(engine, where=where, translate=lambda error: translate(error, where=where))


def translate(error: DBAPIError, *, where: str) -> AicError | None:
    """By SQLSTATE (PostgreSQL, Appendix A); without one the server was not reached. None for what only a bug of ours
    can cause."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if not state and isinstance(error.orig, psycopg.OperationalError):
        return _refused(error.orig, where) or _unreachable(where)
    if state in ("55P03", "40001", "40P01"):
        return _busy(where)
    if state in ("53100", "25006", "42501"):
        return _not_writable(where, state)
    if state[:2] in ("08", "53", "57", "58"):
        return _unreachable(where)
    return _refused(error.orig, where)


def _engine(parameters: dict[str, Any]) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(**parameters),
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted since the last transaction is no error
        pool_size=1,
        max_overflow=0,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _parameters(locator: Locator, options: Options) -> dict[str, Any]:
    """What libpq is told; what is None is left to its own defaults (PGUSER, ~/.pgpass and so on)."""
    hosts = ",".join(host.strip("[]") for host, _ in locator.hosts)
    ports = ",".join(str(port or 5432) for _, port in locator.hosts)
    milliseconds = int(options.timeout * 1000)
    wanted = {
        "host": options.host or hosts or None,
        "port": ports or None,
        "dbname": locator.path.strip("/") or None,
        "user": locator.username or None,
        "password": locator.password,
        "sslmode": options.sslmode,
        "sslrootcert": options.sslrootcert,
        "connect_timeout": options.connect_timeout,
        "target_session_attrs": "read-write",
        "application_name": "aiculturekit",
        "options": f"-c search_path={options.schema} -c lock_timeout={milliseconds}",
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _begin(connection: Connection) -> None:
    is_relaxed = connection.get_execution_options().get(RELAXED)
    connection.exec_driver_sql(_BEGIN + _RELAX if is_relaxed else _BEGIN)


def _unreachable(where: str) -> Unreachable:
    return Unreachable(
        say("no PostgreSQL answers at {where}", where=where),
        hint=say("is the server running, and are host and port right? `aic doctor` tries it"),
    )


def _busy(where: str) -> Busy:
    return Busy(
        say("{where} is locked by another process", where=where),
        hint=say("try again; a second daemon on the same database needs its own `?schema=NAME`"),
    )


def _not_writable(where: str, state: str) -> HostTrouble:
    why = {
        "53100": say("its disk is full"),
        "25006": say("it is read-only"),
        "42501": say("the user may not"),
    }[state]
    return HostTrouble(
        say("{where} cannot be written: {why}", where=where, why=why),
        hint=say("mend it on the server and try again; what was recorded before is safe"),
    )


def _refused(error: BaseException | None, where: str) -> LocatorError | None:
    """While connecting the driver gives no SQLSTATE (libpq does not hand it on), only the server's sentence."""
    text = str(error)
    if re.search(r"password authentication|no password supplied|role .* does not exist|pg_hba\.conf", text):
        what = say("{where}: the server refused the user or the password", where=where)
    elif re.search(r"database .* does not exist", text):
        what = say("{where}: the server has no such database", where=where)
    else:
        return None
    return LocatorError(what, hint=say("mend the URL, or make the user and the database on the server"))
