"""What was done to data is known by the data: once for each content, anew for new data, and for a copy what it was a copy of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aiculturekit.errors import Failed
from aiculturekit.plan.documents import Document
from aiculturekit.resources import places
from aiculturekit.targets.local import ledgers


def migration(source: str = "a", *, run: str | None = "alembic upgrade head", seed: str | None = None) -> Document:
    body = {
        "run": run and {"run": run, "timeout": 600.0},
        "seed": seed and {"run": seed, "timeout": 600.0},
        "source": source,
        "needs": [
            {"kind": "resources", "name": "orders-db", "verb": "admin"},
            {"kind": "services", "name": "x", "verb": "call"},
        ],
    }
    return Document("migration", "orders", body)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    places.create(tmp_path, "shop", "orders-db", uid=None)
    return tmp_path


def done(home: Path, document: Document) -> list[str]:
    """What is due, done."""
    tasks = list(ledgers.due(home, "shop", document))
    for task in tasks:
        ledgers.mark(home, "shop", document, task=task)
    return list(tasks)


def test_a_content_runs_once_and_going_back_to_it_runs_nothing(home: Path) -> None:
    assert [done(home, migration(source)) for source in "aaba"] == [["run"], [], ["run"], []]
    assert done(home, migration(run="alembic upgrade +1")) == ["run"], "the command is part of it"


def test_a_seed_follows_the_first_migration_of_new_data_alone(home: Path) -> None:
    assert done(home, migration("a")) == ["run"]
    assert done(home, migration("b", seed="python seed.py")) == ["run"], "people use that data already"
    shutil.rmtree(places.folder(home, "shop", "orders-db"))
    places.create(home, "shop", "orders-db", uid=None)
    assert done(home, migration("b", seed="python seed.py")) == ["run", "seed"]
    assert done(home, migration("c", seed="python other.py")) == ["run"]


def test_a_seed_that_failed_is_due_again(home: Path) -> None:
    document = migration(seed="python seed.py")
    ledgers.mark(home, "shop", document, task="run")
    assert list(ledgers.due(home, "shop", document)) == ["seed"]
    assert list(ledgers.due(home, "shop", migration("b", seed="python seed.py"))) == ["run", "seed"]


def test_a_seed_alone_is_done_once(home: Path) -> None:
    assert done(home, migration(run=None, seed="python seed.py")) == ["seed"]
    assert done(home, migration("b", run=None, seed="python seed.py")) == []


def test_what_cannot_be_read_is_not_taken_for_new_data(home: Path) -> None:
    done(home, migration())
    for text in ("", "{", "[]", '{"orders": 1}', '{"orders": {"ran": 3}}'):
        (places.folder(home, "shop", "orders-db") / ".migrations.json").write_text(text)
        with pytest.raises(Failed, match="can't be read") as caught:
            ledgers.is_due(home, "shop", migration())
        assert caught.value.hint


def test_only_the_latest_contents_are_remembered(home: Path) -> None:
    for number in range(ledgers.KEPT + 5):
        done(home, migration(str(number)))
    assert len(ledgers.read(places.folder(home, "shop", "orders-db"))["orders"].ran) == ledgers.KEPT
