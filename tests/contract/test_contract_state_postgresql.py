"""What is PostgreSQL's own: servers that are away, refuse, are full, or were restarted meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic import autogenerate
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from aiculturekit import state
from aiculturekit.errors import AicError, Busy, HostTrouble, LocatorError, Refused, Unreachable
from aiculturekit.locator import Locator
from aiculturekit.state import revisions, settings
from aiculturekit.state.databases import Database
from aiculturekit.state.migrations import upgrades
from aiculturekit.state.schema import metadata

PASSWORD = "p@ss/w:rd?#%"
_schemas = itertools.count(1)


def url(port: int, *, path: str = "/postgres", password: str = PASSWORD, **options: str) -> Locator:
    return Locator("postgresql", (("127.0.0.1", port),), path, options, username="aic", password=password)


@pytest.fixture
def schema() -> str:
    return f"postgresql_{next(_schemas)}"


@pytest.fixture
async def database(postgresql: Any, schema: str) -> AsyncIterator[Database]:
    opened = await asyncio.to_thread(state.open, url(postgresql.port, schema=schema, timeout="0.2"))
    yield opened
    await opened.close()


def run(server: Any, statement: str) -> None:
    with server.connect() as connection:
        connection.execute(statement)


async def test_migrations_from_empty_lead_to_the_schema(database: Database) -> None:
    def migrate(connection: Connection) -> list[Any]:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
        upgrades.upgrade(connection)
        assert revisions.current(connection) == revisions.REVISIONS[-1]
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(autogenerate.compare_metadata(context, metadata))

    assert await database.run(migrate) == []


async def test_a_newer_database_is_refused(database: Database, postgresql: Any, schema: str) -> None:
    run(postgresql, f"UPDATE {schema}.alembic_version SET version_num = '9999'")
    with pytest.raises(Refused, match="9999") as caught:
        await asyncio.to_thread(state.open, url(postgresql.port, schema=schema))
    assert PASSWORD not in str(caught.value)


async def test_schemas_are_strangers(database: Database, postgresql: Any, schema: str) -> None:
    other = await asyncio.to_thread(state.open, url(postgresql.port, schema=f"{schema}_b"))
    await database.run(settings.put, "a", value="1")
    assert await other.run(settings.get, "a") is None
    await other.close()


async def test_a_connection_that_was_lost_is_made_anew(database: Database, postgresql: Any) -> None:
    await database.run(settings.put, "a", value="1")
    _end_sessions(postgresql)
    assert await database.run(settings.get, "a") == "1"


async def test_a_connection_lost_within_a_transaction_undoes_it(database: Database, postgresql: Any) -> None:
    def lost(connection: Connection) -> None:
        settings.put(connection, "a", value="1")
        _end_sessions(postgresql)
        settings.put(connection, "b", value="2")

    with pytest.raises(Unreachable) as caught:
        await database.run(lost)
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"
    assert await database.run(settings.get, "a") is None


def _end_sessions(server: Any) -> None:
    run(server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'aiculturekit'")


async def test_another_writer_is_waited_for_and_then_said(database: Database, postgresql: Any, schema: str) -> None:
    other = await asyncio.to_thread(state.open, url(postgresql.port, schema=schema))
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)

    task = asyncio.create_task(other.run(slow))
    await begun.wait()
    with pytest.raises(Busy, match="locked"):
        await database.run(settings.put, "a", value="1")
    go_on.set()
    await task
    await database.run(settings.put, "a", value="1")
    await other.close()


async def test_a_server_that_only_reads_is_said(database: Database) -> None:
    def written(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL transaction_read_only = on")
        settings.put(connection, "a", value="1")

    with pytest.raises(HostTrouble, match="read-only"):
        await database.run(written)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"password": "hunter2"}, "user or the password"), ({"path": "/nowhere"}, "no such database")],
)
async def test_what_the_server_refuses_is_a_mistake_in_the_url(
    postgresql: Any, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(LocatorError, match=said) as caught:
        await asyncio.to_thread(state.open, url(postgresql.port, **changed))
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _raises(Unreachable, url(closed.getsockname()[1]))


def test_a_server_that_never_answers_is_unreachable_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        _raises(Unreachable, url(silent.getsockname()[1], connect_timeout="1"))


@pytest.mark.parametrize("options", [{"schema": "Bad; DROP"}, {"timeout": "soon"}, {"pool": "5"}])
def test_bad_options_are_refused_before_anything_is_reached(options: dict[str, str]) -> None:
    _raises(LocatorError, url(1, **options))


def _raises(kind: type[AicError], locator: Locator) -> None:
    with pytest.raises(kind) as caught:
        state.open(locator)
    assert "127.0.0.1" in caught.value.message or kind is LocatorError
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"
