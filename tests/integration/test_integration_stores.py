"""Working by hand with databases, taking their data away, and that no password is anywhere it could be read."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from benchmarks.products import Product, application, product
from tests.integration.test_integration_looks import call
from tests.integration.test_integration_resources import ASKER, asked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TEXT = f"""
app: library
services:
  keeper: {{run: "{sys.executable} asker.py", public: /keeper, needs: [resources/books-db: admin, resources/cache, resources/post, resources/notes]}}
resources:
  books-db: {{type: postgres}}
  cache: {{type: redis}}
  post: {{type: smtp}}
  notes: {{type: volume}}
protect: [resources/notes]
"""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Product]:
    with product() as made:
        folder = application(tmp_path / "library", TEXT)
        (folder / "asker.py").write_text(ASKER)
        made.aic("up", "-d", str(folder))
        yield made


def by_hand(made: Product, *words: str, given: str = "") -> tuple[int, str, str]:
    """(exit code, output, errors) of `aic db`."""
    command = [sys.executable, "-m", "aiculturekit", "db", *words, "--app", "library"]
    done = subprocess.run(
        command, env=made._environment, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_database_is_worked_with_dumped_and_loaded_again(library: Product) -> None:
    assert asked(library, "keeper", "CREATE TABLE books (id serial PRIMARY KEY, title text)")[0] == 200
    assert asked(library, "keeper", "INSERT INTO books (title) VALUES ('one'), ('zwei')")[0] == 200
    code, shown, _ = by_hand(library, "shell", "books-db", given="SELECT 'there are ' || count(*) FROM books;\n")
    assert code == 0 and "there are 2" in shown
    code, dump, trouble = by_hand(library, "dump", "books-db")
    assert code == 0 and "zwei" in dump, trouble
    code, _, trouble = by_hand(library, "load", "books-db", given=dump)
    assert code == 1 and "already exists" in trouble, "nothing is loaded over what is there"
    assert asked(library, "keeper", "SELECT count(*) FROM books") == (200, [[2]])
    assert asked(library, "keeper", "DROP TABLE books")[0] == 200
    code, _, trouble = by_hand(library, "load", "books-db", given=dump)
    assert code == 0, trouble
    assert asked(library, "keeper", "SELECT title FROM books ORDER BY id") == (200, [["one"], ["zwei"]])
    assert asked(library, "keeper", "ALTER TABLE books ADD COLUMN more int")[0] == 200, "it belongs to administrators"
    assert by_hand(library, "shell", "post")[0] == 3 and by_hand(library, "shell", "none")[0] == 1
    assert by_hand(library, "dump", "books-db", "--database", "none")[0] == 1


def test_down_with_volumes_erases_what_is_not_protected_and_asks_first(library: Product) -> None:
    assert asked(library, "keeper", "CREATE TABLE books (title text)")[0] == 200
    kept = library.home / "data" / "library" / "notes" / "note.txt"
    kept.write_text("keep me")
    refused = library.aic("down", "library", "--volumes", check=False)
    assert "this is erased:" in refused and "library/books-db" in refused and "notes  protected" in refused
    assert asked(library, "keeper", "SELECT count(*) FROM books")[0] == 200, "nobody said yes"
    library.aic("down", "library", "--volumes", "--yes")
    assert kept.read_text() == "keep me"
    left = [path for path in (library.home / "data").rglob("*") if "books-db" in path.name]
    assert left == []
    (row,) = json.loads(library.aic("resources", "--json"))
    assert row["name"] == "notes" and row["protected"]


PATHS = (
    "status", "apps", "apps/library", "apps/library/workloads/keeper", "apps/library/graph", "apps/library/edges", "apps/library/releases",
    "apps/library/releases/1", "apps/library/logs?tail=10000", "apps/library/resources", "changes?limit=1000", "resources", "refusals",
    "apps/library/resources/books-db", "apps/library/resources/cache", "apps/library/resources/post", "apps/library/resources/notes",
    "apps/library/resources/books-db/programs", "apps/library/resources/post/items?what=mails", "apps/library/resources/cache/items?what=keys",
)  # fmt: skip


def known_passwords(made: Product) -> list[str]:
    with sqlite3.connect(f"file:{made.home / 'state.db'}?mode=ro", uri=True) as database:
        found = [row[0] for row in database.execute("SELECT password FROM credentials")]
    keys = (made.home / "data" / "library").glob("*/aic.key")
    return [*found, *(key.read_text().strip() for key in keys)]


def test_no_password_is_shown_anywhere(library: Product, tmp_path: Path) -> None:
    secrets = known_passwords(library)
    assert len(secrets) >= 4 and all(len(secret) > 16 for secret in secrets)
    shown = {path: json.dumps(call(library, path)[1]) for path in PATHS}
    shown["metrics"] = str(call(library, "metrics", prefix="/")[1])
    for statement in ("SELECT * FROM pg_shadow", "SELECT * FROM pg_stat_activity", "SELECT current_setting('nothing')"):
        body = {"statement": statement}
        shown[statement] = json.dumps(call(library, "apps/library/resources/books-db/query", body)[1])
    for statement in ("ACL LIST", "CONFIG GET requirepass", "CLIENT LIST", "nonsense"):
        body = {"statement": statement}
        shown[statement] = json.dumps(call(library, "apps/library/resources/cache/query", body)[1])
    for words in (("ps",), ("resources",), ("status", "--json"), ("plan", str(tmp_path / "library"), "--json")):
        shown[" ".join(words[:1])] = library.aic(*words, check=False)
    for file in [*library.home.glob("*.log"), *(library.home / "logs").rglob("*")]:
        if file.is_file():
            shown[str(file)] = file.read_text("utf-8", "replace")
    shown["ps"] = "\n".join(" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))
    shown |= pages(library)
    assert {place for place, text in shown.items() for secret in secrets if secret in text} == set()


def pages(made: Product) -> dict[str, str]:
    """The console's pages as a browser with a session gets them."""
    link = json.loads(made.aic("open", "--json"))["url"]
    jar = made.home / "cookies"
    fetch = ["curl", "-s", "-L", "-b", str(jar), "-c", str(jar)]
    subprocess.run([*fetch, link], check=True, capture_output=True)
    base = link.partition("/login")[0]
    listed = ["", "/workloads/keeper", "/traffic", "/logs", "/releases/1", "/resources", "/resources/books-db", "/resources/cache", "/resources/post"]  # fmt: skip
    found = {
        path: subprocess.run([*fetch, f"{base}/apps/library{path}"], check=True, capture_output=True, text=True).stdout
        for path in listed
    }
    assert all("<h1" in text for text in found.values())
    return found


def test_a_cache_that_is_asked_cannot_be_written_to(library: Product) -> None:
    place = "apps/library/resources/cache/query"
    for statement in (
        "SET a b",
        "FLUSHALL",
        "CONFIG SET save 1",
        "ACL SETUSER x",
        "EVAL 'return 1' 0",
        "SHUTDOWN",
        "DEBUG SLEEP 9",
        "'",
    ):
        status, answer = call(library, place, {"statement": statement})
        assert status == 422 and answer["error"]["message"], statement
    assert call(library, place, {"statement": "DBSIZE"})[1]["rows"] == [["0"]]
    assert call(library, place, {"statement": "BLPOP none 0", "seconds": 1})[0] in (422, 500)
    assert call(library, place, {"statement": "GET none"})[1]["rows"] == [["(nil)"]]


def test_a_port_and_a_credential_for_a_while(library: Product) -> None:
    command = [sys.executable, "-m", "aiculturekit", "db", "proxy", "books-db", "--app", "library", "--verb", "write"]
    assert asked(library, "keeper", "CREATE TABLE books (title text)")[0] == 200
    with subprocess.Popen(command, env=library._environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout or ())
            url = next(lines).strip()
            assert "guest" in url and "leads to" in next(lines), "the port is open when this is said"
            with psycopg.connect(url, connect_timeout=20, autocommit=True) as connection:
                connection.execute("INSERT INTO books VALUES ('by hand')")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("DROP TABLE books")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert asked(library, "keeper", "SELECT title FROM books") == (200, [["by hand"]])
    users = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'guest%'"
    assert asked(library, "keeper", users) == (200, [[0]]), "the credential ended with the port"
    assert "***@" in library.aic("db", "url", "books-db", "--app", "library")


def test_a_credential_ends_with_its_time_and_does_not_outlive_the_daemon(library: Product) -> None:
    users = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'guest%'"
    place = "apps/library/resources/books-db/guests"
    assert call(library, place, {"port": 5432, "seconds": 1})[0] == 200
    until(lambda: asked(library, "keeper", users) == (200, [[0]]))
    assert call(library, place, {"port": 5432, "seconds": 3600})[0] == 200
    assert asked(library, "keeper", users) == (200, [[1]])
    library.aic("server", "stop", "--keep")
    library.aic("server", "start")
    until(lambda: asked(library, "keeper", users) == (200, [[0]]))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
