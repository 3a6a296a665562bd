"""Looking into MySQL and MariaDB, as the administrator through the socket; what others ask is run by a login that may only read.

What holds alone, each: the login has no right but to read; the transaction cannot write; one statement comes at a time, and begins with a
word that reads (some that do not are let through by such a transaction, `SET PASSWORD` among them). The server's own limit of time can be
taken off by a statement that says so: whoever takes too long is ended from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake
from aiculturekit.language import say
from aiculturekit.resources import programs, statements
from aiculturekit.resources.backends.mysql import OWNER, VIEWER, databases, engines, key, options, socket
from aiculturekit.resources.inspections.shapes import Column, Figure, Inspection, Program, Row, Table
from aiculturekit.resources.servers import Ground
from aiculturekit.resources.statements import Answer, Session

_PATIENCE = 5.0
_READING = re.compile(r"[\s(]*(select|show|explain|describe|desc|with|table|values)\b", re.IGNORECASE)
_STATUS = "SHOW GLOBAL STATUS"
_MOST = "SELECT @@version, @@max_connections"
_CLIENTS = "SELECT USER, DB, COMMAND FROM information_schema.PROCESSLIST"
_TABLES = """
    SELECT TABLE_SCHEMA AS `database`, TABLE_NAME AS name, TABLE_ROWS AS `rows`, DATA_LENGTH + INDEX_LENGTH AS bytes
    FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ({names}) ORDER BY 4 DESC, 1, 2
"""
_QUERIES = """
    SELECT DIGEST_TEXT AS query, COUNT_STAR AS calls, AVG_TIMER_WAIT / 1e9 AS mean_ms, MAX_TIMER_WAIT / 1e9 AS max_ms,
           SUM_TIMER_WAIT / 1e9 AS total_ms, SCHEMA_NAME AS `database`
    FROM performance_schema.events_statements_summary_by_digest
    WHERE SCHEMA_NAME IN ({names}) AND DIGEST_TEXT NOT REGEXP '^(SET|BEGIN|COMMIT|ROLLBACK|START|CREATE USER|ALTER USER|SHOW|KILL)'
    ORDER BY SUM_TIMER_WAIT DESC LIMIT 20
"""
"""Values stand in it as ?."""
_EXPORTED = (
    ("mysql_global_status_threads_connected", "gauge", "Open connections.", "Threads_connected"),
    ("mysql_global_status_queries", "counter", "Statements that were run.", "Queries"),
    ("mysql_global_status_slow_queries", "counter", "Statements that took longer than long_query_time.", "Slow_queries"),
    ("mysql_global_status_bytes_received", "counter", "Bytes from clients.", "Bytes_received"),
    ("mysql_global_status_bytes_sent", "counter", "Bytes to clients.", "Bytes_sent"),
    ("mysql_global_status_innodb_buffer_pool_read_requests", "counter", "Pages that were asked for.", "Innodb_buffer_pool_read_requests"),
    ("mysql_global_status_innodb_buffer_pool_reads", "counter", "Pages that were read from the disk.", "Innodb_buffer_pool_reads"),
    ("mysql_global_status_innodb_row_lock_waits", "counter", "Waits for a row's lock.", "Innodb_row_lock_waits"),
    ("mysql_global_status_uptime", "counter", "Seconds since the server started.", "Uptime"),
)  # fmt: skip
"""The names of prometheus/mysqld_exporter."""
_COMMANDS = ("select", "insert", "update", "delete", "commit", "rollback")
_Kind = Literal["shell", "dump", "load"]


class Mysql:
    up = "mysql_up"

    async def inspect(self, ground: Ground) -> Inspection:
        names = ", ".join(f"'{name}'" for name in self.databases(ground))
        async with _session(ground, OWNER, seconds=_PATIENCE) as session:
            status = {str(name): str(value) for name, value in (await session.ask(_STATUS)).rows}
            version, most = (await session.ask(_MOST)).rows[0]
            clients = _clients(await session.ask(_CLIENTS))
            tables = _rows(await session.ask(_TABLES.format(names=names)))
            queries = _rows(await session.ask(_QUERIES.format(names=names)))
        spaces = [_space(name, tables, clients) for name in self.databases(ground)]
        requests, reads = (float(status[f"Innodb_buffer_pool_{what}"]) for what in ("read_requests", "reads"))
        return Inspection(
            version=str(version),
            uptime=float(status["Uptime"]),
            size_bytes=sum(row["bytes"] for row in spaces),
            hit_ratio=1 - reads / requests if requests else None,
            clients=tuple(clients),
            sections={"schemas": spaces, "relations": tables[:50], "queries": queries},
            figures=tuple(_figures(status, float(most or 0), spaces)),
        )

    async def ask(self, ground: Ground, statement: str, *, database: str, rows: int, seconds: float) -> Table:
        if not _READING.match(statement):
            raise Mistake(
                say("this is not for here: it may do more than read"),
                hint=say("begin with SELECT, WITH, SHOW, EXPLAIN, DESCRIBE, TABLE or VALUES"),
            )
        async with _session(ground, VIEWER, database=database, seconds=seconds + 2 * _PATIENCE) as session:
            await session.ask("SET SESSION TRANSACTION READ ONLY")
            await session.ask("START TRANSACTION READ ONLY")
            try:
                async with asyncio.timeout(seconds):
                    answer = await session.ask(statement, rows=rows)
            except TimeoutError:
                await _end(ground, session)
                raise Mistake(
                    say("it was ended: it took longer than {seconds:g} s", seconds=seconds),
                    hint=say("ask for less, or for more time"),
                ) from None
            except BaseException:
                await _end(ground, session)
                raise
            if answer.is_cut:
                await _end(ground, session)
        return Table(tuple(Column(*one) for one in answer.columns), answer.rows, answer.is_cut)

    def databases(self, ground: Ground) -> list[str]:
        return databases(ground.name, ground.body)

    def programs(self, ground: Ground, *, database: str) -> Mapping[_Kind, Program]:
        where = database or self.databases(ground)[0]
        dump = ("--single-transaction", "--routines", "--triggers", "--events", "--no-tablespaces", "--hex-blob")
        return {
            "shell": _program(ground, ("mariadb", "mysql"), where),
            "dump": _program(ground, ("mariadb-dump", "mysqldump"), *dump, where),
            "load": _program(ground, ("mariadb", "mysql"), "--batch", where),
        }


def _program(ground: Ground, names: Sequence[str], *words: str) -> Program:
    """The option file lets it in: no password is said. Raises Failed where the machine has no such program."""
    found = engines.program(*names)
    if found is None:
        raise Failed(
            say("this machine has no {program}", program=" / ".join(names)),
            hint=say("install the client programs (`{command}`)", command="apt-get install mariadb-client"),
        )
    command = (*programs.prefix(ground.uid), str(found), f"--defaults-file={options(ground)}", *words)
    quiet = {"MYSQL_HISTFILE": "/dev/null", "MARIADB_HISTFILE": "/dev/null"}
    return Program(command, str(ground.folder), quiet, is_whole=False)  # it commits at every CREATE


@contextlib.asynccontextmanager
async def _session(ground: Ground, user: str, *, database: str = "", seconds: float) -> AsyncIterator[Session]:
    password = await threads.run(key, ground)
    async with statements.session(
        socket(ground), user=user, password=password, database=database, seconds=seconds
    ) as session:
        yield session


async def _end(ground: Ground, session: Session) -> None:
    """Its session, from outside: it may still be at work for an answer that nobody waits for."""
    with contextlib.suppress(Mistake, Failed):
        async with _session(ground, OWNER, seconds=_PATIENCE) as owner:
            await owner.ask(f"KILL {session.thread}")


def _clients(answer: Answer) -> list[dict[str, Any]]:
    """Rows of user, database, state and count, without the server's own threads."""
    ours = (OWNER, VIEWER, "system user", "event_scheduler", "unauthenticated user")
    seen = Counter((user, database, _state(command)) for user, database, command in answer.rows if user not in ours)
    return [
        {"user": user, "database": database, "state": state, "count": count}
        for (user, database, state), count in seen.most_common()
    ]


def _state(command: str | None) -> str:
    return "idle" if command == "Sleep" else "active"


def _space(name: str, tables: Sequence[Row], clients: Sequence[Row]) -> dict[str, Any]:
    within = [row for row in tables if row["database"] == name]
    return {
        "name": name,
        "tables": len(within),
        "bytes": sum(row["bytes"] or 0 for row in within),
        "connections": sum(row["count"] for row in clients if row["database"] == name),
    }


def _rows(answer: Answer) -> list[dict[str, Any]]:
    return [
        {name: _value(cell, is_number) for (name, is_number), cell in zip(answer.columns, row, strict=True)}
        for row in answer.rows
    ]


def _value(cell: str | None, is_number: bool) -> Any:
    if cell is None or not is_number:
        return cell
    return float(cell) if "." in cell or "e" in cell else int(cell)


def _figures(status: Mapping[str, str], most: float, spaces: Sequence[Row]) -> Iterator[Figure]:
    yield Figure("mysql_global_variables_max_connections", "gauge", "Connections that can be open at once.", most)
    for name, kind, text, key_ in _EXPORTED:
        yield Figure(name, kind, text, float(status.get(key_, 0)))  # type: ignore[arg-type]
    for command in _COMMANDS:
        value = float(status.get(f"Com_{command}", 0))
        yield Figure(
            "mysql_global_status_commands_total", "counter", "Statements by kind.", value, {"command": command}
        )
    for row in spaces:
        yield Figure(
            "mysql_info_schema_table_size", "gauge", "Size of its tables.", row["bytes"], {"schema": row["name"]}
        )
