"""A database that goes back to a moment: PostgreSQL's log is carried to where its backups are, and a backup follows it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.integration.test_integration_resources import TEXT, app, asked, flip
from tests.resources.stages import credentials, stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
APP = ("--app", "library")


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def up(made: Product, folder: Path, shelf: Path) -> Path:
    """The library with its backups on the shelf; answers the folder of its one resource there."""
    declared = f'{{type: postgres, backup: {{every: 1d, keep: 3, to: "file://{shelf}"}}}}'
    made.aic("up", "-d", str(app(folder, TEXT.replace("{type: postgres}", declared))))
    return shelf / "library" / "books-db"


def now() -> str:
    """A moment that lies between what was done before and what is done after."""
    time.sleep(0.05)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.05)
    return moment


def until(found: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def titles(made: Product) -> object:
    return asked(made, "reader", "SELECT title FROM books ORDER BY title")[1]


def test_a_database_becomes_what_it_was_at_a_moment(own: Product, tmp_path: Path) -> None:
    place = up(own, tmp_path / "library", tmp_path / "shelf")
    asked(own, "keeper", "CREATE TABLE books (title text)")
    asked(own, "writer", "INSERT INTO books VALUES ('zero')")
    own.aic("backup", "now", "books-db", *APP)
    asked(own, "writer", "INSERT INTO books VALUES ('one')")
    first = now()
    asked(own, "writer", "INSERT INTO books VALUES ('two')")
    second = now()
    assert asked(own, "keeper", "DROP TABLE books")[0] == 200

    own.aic("backup", "restore", "books-db", "--at", second, *APP, "--yes")
    assert titles(own) == [["one"], ["two"], ["zero"]], "as it was before the table was dropped"
    assert asked(own, "writer", "INSERT INTO books VALUES ('three')")[0] == 200, "it goes on from there"
    (aside,) = [row["name"] for row in json.loads(own.aic("snapshot", "list", *APP, "--json"))]
    assert aside.startswith("before-")

    own.aic("backup", "restore", "books-db", "--at", first, *APP, "--yes")
    assert titles(own) == [["one"], ["zero"]], "the first log is still there, though another was begun since"

    own.aic("backup", "now", "books-db", *APP)
    asked(own, "writer", "INSERT INTO books VALUES ('four')")
    third = now()
    asked(own, "writer", "INSERT INTO books VALUES ('five')")
    own.aic("backup", "restore", "books-db", "--at", third, *APP, "--yes")
    assert titles(own) == [["four"], ["one"], ["zero"]], "what was restored has a log of its own, which leads on"

    own.aic("snapshot", "restore", aside, *APP, "--yes")
    assert asked(own, "reader", "SELECT title FROM books")[0] == 409, "the table that was dropped: nothing was lost"
    assert len(list(place.glob("log-*"))) >= 2
    for moment, said in (
        ("2020-01-01T00:00:00Z", "nothing is known"),
        ("2999-01-01T00:00:00Z", "yet to come"),
        ("2026-01-01T00:00:00", "no moment"),
    ):
        with pytest.raises(RuntimeError, match=said):
            own.aic("backup", "restore", "books-db", "--at", moment, *APP, "--yes")


def test_what_a_server_left_when_it_went_down_is_carried_to_an_object_store(own: Product, tmp_path: Path) -> None:
    with stage("s3", buckets=["kept"]) as store:
        (admin,) = credentials("admin")
        store.start(admin)
        given = store.given(admin)
        own.set(AWS_ACCESS_KEY_ID=given["key"], AWS_SECRET_ACCESS_KEY=given["secret"])
        to = f"s3://kept/far?endpoint=http://127.0.0.1:{store.port}"
        declared = f'{{type: postgres, backup: {{every: 1d, to: "{to}"}}}}'
        folder = app(tmp_path / "library", TEXT.replace("{type: postgres}", declared))
        own.aic("up", "-d", str(folder))
        asked(own, "keeper", "CREATE TABLE books (title text)")
        own.aic("backup", "now", "books-db", *APP)
        asked(own, "writer", "INSERT INTO books VALUES ('one')")
        moment = now()
        asked(own, "writer", "INSERT INTO books VALUES ('two')")
        own.aic("down", "library")
        until(lambda: not spooled(own), "carried though no server runs any more")
        own.aic("up", "-d", str(folder))
        asked(own, "keeper", "DELETE FROM books")
        own.aic("backup", "verify", "books-db", *APP)
        own.aic("backup", "restore", "books-db", "--at", moment, *APP, "--yes")
        assert titles(own) == [["one"]]


def spooled(made: Product) -> list[Path]:
    return list(made.home.glob("data/library/books-db/.own/log-*/*"))


def test_a_missing_and_a_flipped_part_are_found_and_named(own: Product, tmp_path: Path) -> None:
    place = up(own, tmp_path / "library", tmp_path / "shelf")
    asked(own, "keeper", "CREATE TABLE books (title text)")
    own.aic("backup", "now", "books-db", *APP)
    name = json.loads(own.aic("backup", "list", "books-db", *APP, "--json"))[0]["name"]
    for _ in range(3):
        asked(own, "keeper", "INSERT INTO books SELECT md5(n::text) FROM generate_series(1, 1000) n")
        own.aic("backup", "verify", "books-db", name, *APP)
    first = json.loads((place / name / "backup.json").read_text())["log"]
    parts = sorted(file for file in (place / first["name"]).iterdir() if file.name[:24] >= first["first"])
    assert len(parts) >= 4
    whole = parts[1].read_bytes()
    flip(parts[1], at=len(whole) // 2)
    with pytest.raises(RuntimeError, match=f"damaged: {parts[1].name[:24]}"):
        own.aic("backup", "verify", "books-db", name, *APP)
    parts[1].unlink()
    with pytest.raises(RuntimeError, match=f"missing: {parts[1].name[:24]}"):
        own.aic("backup", "verify", "books-db", name, *APP)
    with pytest.raises(RuntimeError, match=f"missing: {parts[1].name[:24]}"):
        own.aic("backup", "restore", "books-db", "--at", now(), *APP, "--yes")
    assert asked(own, "reader", "SELECT count(*) FROM books") == (200, [[3000]]), "as it was"
    parts[1].write_bytes(whole)
    own.aic("backup", "verify", "books-db", name, *APP)


def test_a_log_waits_while_its_place_is_gone_and_old_parts_go_with_old_backups(own: Product, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    place = up(own, tmp_path / "library", shelf)
    asked(own, "keeper", "CREATE TABLE books (title text)")
    own.aic("backup", "now", "books-db", *APP)
    until(lambda: list(place.glob("log-*/*.gz")), "the schedule carries what the backup closed")
    shelf.rename(shelf.with_name("away"))
    shelf.write_text("a file is no place")
    asked(own, "writer", "INSERT INTO books VALUES ('kept')")
    moment = now()
    asked(own, "writer", "INSERT INTO books VALUES ('later')")
    with pytest.raises(RuntimeError):
        own.aic("backup", "restore", "books-db", "--at", moment, *APP, "--yes")
    assert "wait on this machine" in own.aic("backup", "list", "books-db", *APP)
    assert spooled(own), "nothing is lost but room"
    shelf.unlink()
    shelf.with_name("away").rename(shelf)
    until(lambda: not spooled(own), "carried when the place is back")
    own.aic("backup", "restore", "books-db", "--at", moment, *APP, "--yes")
    assert titles(own) == [["kept"]]
    for _ in range(4):
        own.aic("backup", "now", "books-db", *APP)
    kept = [json.loads(file.read_text())["log"] for file in place.glob("*/backup.json")]
    logs = {log["name"] for log in kept}
    assert len(kept) == 3 and {folder.name for folder in place.glob("log-*")} <= logs
    oldest = min(log["first"] for log in kept)
    assert all(part.name[8:24] >= oldest[8:] for part in place.glob("log-*/*.gz")), "parts that nobody needs are gone"
