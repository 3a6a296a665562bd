"""Looking into PostgreSQL, as its administrator through the socket; what others ask is run by a login that may only read.

That login has no password, so that no network leads to it. A transaction that may not write is begun before the statement, which comes
alone (the extended protocol takes one); `statement_timeout` is armed when a statement begins, so that none can take it off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from aiculturekit.resources import programs
from aiculturekit.resources.backends.postgres import MAINTENANCE, OWNER, VIEWER, place, scripts
from aiculturekit.resources.inspections import wires
from aiculturekit.resources.inspections.shapes import Figure, Inspection, Program, Row, Table
from aiculturekit.resources.servers import Ground

_PATIENCE = 5.0
_SERVER = """
    SELECT current_setting('server_version') AS version, extract(epoch FROM now() - pg_postmaster_start_time()) AS uptime,
           current_setting('max_connections') AS most
"""
_CLIENTS = """
    SELECT usename AS "user", datname AS database, coalesce(state, 'starting') AS state, count(*) AS count
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename NOT IN ({ours}) GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1
"""
_DATABASES = """
    SELECT d.datname AS name, pg_database_size(d.oid) AS bytes,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usename NOT IN ({ours})) AS connections,
           xact_commit AS commits, xact_rollback AS rollbacks, blks_hit AS hits, blks_read AS reads, deadlocks,
           tup_returned AS returned, tup_fetched AS fetched,
           tup_inserted AS inserted, tup_updated AS updated, tup_deleted AS deleted
    FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = ANY ({names}) ORDER BY d.datname
"""
_QUERIES = """
    SELECT query, calls, mean_exec_time AS mean_ms, max_exec_time AS max_ms, total_exec_time AS total_ms, s.rows, datname AS database
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = userid JOIN pg_database d ON d.oid = dbid
    WHERE rolname NOT IN ({ours}) AND query !~* 'password|^(begin|commit|rollback|set|reset|deallocate)'
    ORDER BY total_exec_time DESC LIMIT 20
"""
"""Constants stand in it as $1. A statement that is kept as it was written (PASSWORD of CREATE ROLE) is never shown."""
_TABLES = """
    SELECT current_database() AS database, s.schemaname AS schema, s.relname AS name, greatest(c.reltuples::bigint, s.n_live_tup) AS rows,
           pg_total_relation_size(s.relid) AS bytes, seq_scan AS scans, coalesce(idx_scan, 0) AS index_scans
    FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid ORDER BY 5 DESC, 2, 3 LIMIT 50
"""
_EXPORTED = (
    ("pg_database_size_bytes", "gauge", "Disk space used by the database.", "bytes"),
    ("pg_stat_database_numbackends", "gauge", "Sessions connected to the database.", "connections"),
    ("pg_stat_database_xact_commit", "counter", "Transactions that were committed.", "commits"),
    ("pg_stat_database_xact_rollback", "counter", "Transactions that were rolled back.", "rollbacks"),
    ("pg_stat_database_blks_hit", "counter", "Blocks found in the cache.", "hits"),
    ("pg_stat_database_blks_read", "counter", "Blocks read from the disk.", "reads"),
    ("pg_stat_database_deadlocks", "counter", "Deadlocks that were found.", "deadlocks"),
    ("pg_stat_database_tup_returned", "counter", "Rows read by scans.", "returned"),
    ("pg_stat_database_tup_fetched", "counter", "Rows read through an index.", "fetched"),
    ("pg_stat_database_tup_inserted", "counter", "Rows inserted.", "inserted"),
    ("pg_stat_database_tup_updated", "counter", "Rows updated.", "updated"),
    ("pg_stat_database_tup_deleted", "counter", "Rows deleted.", "deleted"),
)
"""The names of prometheus-community/postgres_exporter."""
_Kind = Literal["shell", "dump", "load"]


class Postgres:
    up = "pg_up"

    async def inspect(self, ground: Ground) -> Inspection:
        names = self.databases(ground)
        values = {"names": f"ARRAY[{', '.join(map(scripts.text, names))}]", "ours": f"'{OWNER}', '{VIEWER}'"}
        async with _as_owner(ground, names[0]) as wire:
            server = _rows(await wire.ask(_SERVER))[0]
            clients = _rows(await wire.ask(_CLIENTS.format(**values)))
            databases = _rows(await wire.ask(_DATABASES.format(**values)))
            queries = _rows(await wire.ask(_QUERIES.format(**values)))
            tables = _rows(await wire.ask(_TABLES))
        for name in names[1:]:
            async with _as_owner(ground, name) as wire:
                tables += _rows(await wire.ask(_TABLES))
        hits, reads = (sum(row[key] for row in databases) for key in ("hits", "reads"))
        return Inspection(
            version=str(server["version"]),
            uptime=float(server["uptime"]),
            size_bytes=sum(row["bytes"] for row in databases),
            hit_ratio=hits / (hits + reads) if hits + reads else None,
            clients=tuple(clients),
            sections={"databases": databases, "tables": tables, "queries": queries},
            figures=tuple(_figures(server, clients, databases)),
        )

    async def ask(self, ground: Ground, statement: str, *, database: str, rows: int, seconds: float) -> Table:
        limits = {"statement_timeout": f"{round(seconds * 1000)}", "default_transaction_read_only": "on"}
        async with wires.session(
            ground.sockets,
            port=_port(ground),
            user=VIEWER,
            database=database,
            seconds=seconds + _PATIENCE,
            settings=limits,
        ) as wire:
            await wire.run("BEGIN TRANSACTION READ ONLY; SELECT 1")
            return await wire.ask(statement, rows=rows)

    def databases(self, ground: Ground) -> list[str]:
        return scripts.databases(ground.name, ground.body)

    def programs(self, ground: Ground, *, database: str) -> Mapping[_Kind, Program]:
        psql = (str(ground.programs / "psql"), "-X")
        dump = (str(ground.programs / "pg_dump"), "--no-owner", "--no-privileges", "--exclude-extension=*")
        load = (*psql, "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null")
        as_admin = ("-c", "SET client_min_messages = warning", "-c", "SET ROLE aic_admin", "-f", "-")
        where = tuple(place(ground, database or self.databases(ground)[0]))
        return {
            "shell": _program(ground, (*psql, *where)),
            "dump": _program(ground, (*dump, *where)),
            "load": _program(ground, (*load, *where, *as_admin)),
        }


def _program(ground: Ground, command: Sequence[str]) -> Program:
    environment = {"PGAPPNAME": "aic", "PSQL_HISTORY": "/dev/null"}
    return Program((*programs.prefix(ground.uid), *command), str(ground.folder), environment)


def _as_owner(ground: Ground, database: str) -> Any:
    return wires.session(
        ground.sockets,
        port=_port(ground),
        user=OWNER,
        database=database,
        seconds=_PATIENCE,
        settings={"search_path": "public"},
    )


def _port(ground: Ground) -> int:
    """Raises Failed where the server does not run."""
    options = place(ground, MAINTENANCE)
    return int(options[options.index("-p") + 1])


def _rows(table: Table) -> list[dict[str, Any]]:
    return [
        {column.name: _value(cell, column.is_number) for column, cell in zip(table.columns, row, strict=True)}
        for row in table.rows
    ]


def _value(cell: str | None, is_number: bool) -> Any:
    if cell is None or not is_number:
        return cell
    return float(cell) if "." in cell or "e" in cell else int(cell)


def _figures(server: Row, clients: Sequence[Row], databases: Sequence[Row]) -> Iterator[Figure]:
    yield Figure("pg_settings_max_connections", "gauge", "Connections that can be open at once.", float(server["most"]))
    yield Figure("pg_postmaster_uptime_seconds", "gauge", "Time since the server started.", float(server["uptime"]))
    for row in clients:
        labels = {"datname": row["database"], "usename": row["user"], "state": row["state"]}
        yield Figure("pg_stat_activity_count", "gauge", "Connections in this state.", row["count"], labels)
    for name, kind, text, key in _EXPORTED:
        for row in databases:
            yield Figure(name, kind, text, row[key], {"datname": row["name"]})  # type: ignore[arg-type]
