"""Opening fresh, today's, older and newer databases."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic import autogenerate, script
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect

from aiculturekit import state
from aiculturekit.errors import Refused
from aiculturekit.locator import Locator
from aiculturekit.state import revisions, settings, sqlite
from aiculturekit.state.databases import Database
from aiculturekit.state.migrations import upgrades
from aiculturekit.state.schema import metadata

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "next", "{last}", None, None


def upgrade() -> None:
    op.add_column("settings", sa.Column("note", sa.Text))
    op.execute("UPDATE settings SET note = 'migrated'")
    {then}
"""
LAST = revisions.REVISIONS[-1]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return sqlite._engine(str(tmp_path / "state.db"), timeout=1, pool=sqlalchemy.QueuePool)


def opened(tmp_path: Path) -> Database:
    return state.open(f"sqlite:///{tmp_path / 'state.db'}")


def test_the_revisions_are_alembics_own() -> None:
    listed = script.ScriptDirectory.from_config(upgrades.configuration()).walk_revisions()
    assert tuple(revision.revision for revision in listed)[::-1] == revisions.REVISIONS


def test_migrations_from_empty_lead_to_the_schema(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrades.upgrade(connection)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert autogenerate.compare_metadata(context, metadata) == []
        assert revisions.current(connection) == revisions.REVISIONS[-1]


def test_the_comparison_would_see_a_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrades.upgrade(connection)
        connection.exec_driver_sql("DROP INDEX one_running_operation")
        connection.exec_driver_sql("ALTER TABLE ports ADD COLUMN more TEXT")
        found = autogenerate.compare_metadata(MigrationContext.configure(connection), metadata)
    assert sorted(difference[0] for difference in found) == ["add_index", "remove_column"]


def test_migrating_and_creating_make_the_same_tables(engine: Engine, tmp_path: Path) -> None:
    """Conditions of indexes, checks and AUTOINCREMENT, which the comparison does not see."""
    made = sqlite._engine(str(tmp_path / "made.db"), timeout=1, pool=sqlalchemy.QueuePool)
    with engine.begin() as one, made.begin() as other:
        upgrades.upgrade(one)
        revisions.prepare(other, where="")
        assert _shape(one) == _shape(other)


def _shape(connection: Connection) -> dict[str, object]:
    query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name != 'alembic_version'"
    rows = connection.exec_driver_sql(query).all()
    plain = {
        name: sql.replace(f'TABLE "{name}"', f"TABLE {name}") for name, sql in rows
    }  # quoted when it was made anew
    return {name: sorted(part.strip(" ,\t") for part in sql.splitlines()) for name, sql in plain.items()}


def test_opening_a_fresh_or_todays_database_loads_no_alembic(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from aiculturekit import state\n"
        "for _ in range(2): asyncio.run(state.open(sys.argv[1]).close())\n"
        "print(sorted(m for m in ('alembic', 'mako', 'greenlet', 'psycopg') if m in sys.modules))"
    )
    command = [sys.executable, "-OO", "-c", code, f"sqlite:///{tmp_path / 'state.db'}"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "[]"


async def test_a_fresh_database_has_todays_revision(tmp_path: Path) -> None:
    database = opened(tmp_path)
    assert await database.run(revisions.current) == revisions.REVISIONS[-1]
    await database.close()


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A next version of the product, with one more migration beside all others."""
    versions = tmp_path / "with a space"
    shutil.copytree(upgrades.VERSIONS, versions, ignore=shutil.ignore_patterns("__pycache__"))
    (versions / "next.py").write_text(NEXT.format(last=LAST, then="pass"))
    monkeypatch.setattr(upgrades, "VERSIONS", versions)
    monkeypatch.setattr(revisions, "REVISIONS", (*revisions.REVISIONS, "next"))
    return versions / "next.py"


@pytest.fixture
def older(tmp_path: Path) -> None:
    database = opened(tmp_path)
    asyncio.run(database.run(settings.put, "a", value="1"))
    asyncio.run(database.close())


@pytest.mark.usefixtures("older", "following")
async def test_an_older_database_is_migrated_with_what_it_holds(tmp_path: Path) -> None:
    database = opened(tmp_path)
    assert await database.run(_notes) == [("a", "1", "migrated")]
    assert await database.run(revisions.current) == "next"
    await database.close()


@pytest.mark.usefixtures("older")
async def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path, following: Path) -> None:
    following.write_text(NEXT.format(last=LAST, then="raise ZeroDivisionError"))
    with pytest.raises(ZeroDivisionError):
        opened(tmp_path)
    following.write_text(NEXT.format(last=LAST, then="pass"))
    database = opened(tmp_path)
    assert await database.run(_notes) == [("a", "1", "migrated")]
    await database.close()


def _notes(connection: Connection) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in connection.exec_driver_sql("SELECT name, value, note FROM settings")]


async def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    database = opened(tmp_path)
    await database.run(_stamp, "9999")
    await database.close()
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(Refused, match="9999") as caught:
        opened(tmp_path)
    assert "update" in caught.value.hint
    assert (tmp_path / "state.db").read_bytes() == before


def _stamp(connection: Connection, revision: str) -> None:
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))


def test_a_database_of_something_else_is_refused_untouched(tmp_path: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE settings (theme TEXT)")
    with pytest.raises(Refused, match="settings"):
        opened(tmp_path)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == ["settings"]


@pytest.mark.parametrize("round_", range(8))
async def test_many_may_open_a_fresh_one_at_once(tmp_path: Path, round_: int) -> None:
    url = Locator("sqlite", path=f"/{tmp_path / 'state.db'}")
    databases = await asyncio.gather(*(asyncio.to_thread(state.open, url) for _ in range(6)))
    for at, database in enumerate(databases):
        await database.run(settings.put, f"{round_}-{at}", value="x")
    assert len(await databases[0].run(_names)) == 6
    for database in databases:
        await database.close()


def _names(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT name FROM settings").scalars())
