"""A MySQL of the application's own, from the machine's server: by verb through the mesh, copied, asked, worked with by hand."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.products import ROOT, Product, application, product
from tests.integration.test_integration_looks import call
from tests.integration.test_integration_resources import asked, backed_up
from tests.resources.stages import require_mysql

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ASKER = f"""\
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from aiculturekit.resources import outputs
from tests.resources.clients import Mysql, Refused
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        statement = self.rfile.read(int(self.headers["content-length"])).decode()
        url = self.headers.get("x-url") or os.environ["BOOKS_DB_" + self.headers.get("x-part", "") + "URL"]
        try:
            status, answer = 200, Mysql().run(outputs.of("mysql", url), statement)
        except Refused as error:
            status, answer = 409, str(error)
        raw = json.dumps(answer, default=str).encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def do_GET(self):
        raw = os.environ.get("BOOKS_DB_URL", "").encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MIGRATE = f"""\
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from aiculturekit.resources import outputs
from tests.resources.clients import Mysql
given = outputs.of("mysql", os.environ["BOOKS_DB_URL"])
Mysql().run(given, "CREATE TABLE IF NOT EXISTS books (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(200)) ENGINE=InnoDB")
Mysql().run(given, "CREATE OR REPLACE VIEW titles AS SELECT title FROM books")
"""
SHELF = "/shelf-of-the-test/"
TEXT = f"""
app: library
services:
  keeper:
    run: "{sys.executable} asker.py"
    public: /keeper
    migrate: "{sys.executable} migrate.py"
    needs: [resources/books-db: admin]
  writer: {{run: "{sys.executable} asker.py", public: /writer, needs: [resources/books-db]}}
  reader: {{run: "{sys.executable} asker.py", public: /reader, needs: [resources/books-db: read]}}
resources:
  books-db: {{type: mysql, databases: [audit], backup: {{every: 1d, to: "file://{SHELF}"}}}}
"""


@pytest.fixture(scope="module")
def library() -> Iterator[Product]:
    """One application for all tests of this file; each begins with no book."""
    require_mysql()
    with product() as made:
        folder = made.home / "source"
        folder.mkdir()
        application(folder, TEXT.replace(SHELF, f"{made.home}/shelf"))
        (folder / "asker.py").write_text(ASKER)
        (folder / "migrate.py").write_text(MIGRATE)
        made.aic("up", "-d", str(folder))
        yield made


@pytest.fixture
def empty(library: Product) -> Product:
    assert asked(library, "writer", "DELETE FROM books")[0] == 200
    return library


def titles(made: Product, source: str = "books") -> list[str]:
    status, rows = asked(made, "reader", f"SELECT title FROM {source} ORDER BY title")
    assert status == 200, rows
    return [row[0] for row in rows]  # type: ignore[attr-defined]


def add(made: Product, title: str) -> None:
    status, answer = asked(made, "writer", f"INSERT INTO books (title) VALUES ('{title}')")
    assert status == 200, answer


def query(made: Product, statement: str, **more: object) -> tuple[int, Any]:
    return call(made, "apps/library/resources/books-db/query", {"statement": statement, **more})


def by_hand(made: Product, *words: str, given: str = "") -> str:
    done = run_by_hand(made, *words, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_by_hand(made: Product, *words: str, given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aiculturekit", "db", *words, "--app", "library"],
        env=made._environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_each_verb_is_what_it_is_through_the_mesh_and_data_stays(empty: Product) -> None:
    assert asked(empty, "writer", "CREATE TABLE more (id INT)")[0] == 409
    assert asked(empty, "reader", "INSERT INTO books (title) VALUES ('no')")[0] == 409
    add(empty, "eins")
    add(empty, "三")
    assert titles(empty) == ["eins", "三"]
    assert asked(empty, "keeper", "CREATE TABLE IF NOT EXISTS audit.events (id INT)")[0] == 200
    assert asked(empty, "writer", "SELECT User FROM mysql.user")[0] == 409
    folder = next(path for path in (empty.home / "data" / "library").iterdir())
    empty.aic("down", "library")
    assert (folder / "data" / "ibdata1").exists()
    empty.aic("up", "-d", source(empty))
    assert titles(empty) == ["eins", "三"]


def source(made: Product) -> str:
    return str(made.home / "source")


def test_a_snapshot_a_backup_and_a_branch_are_copies_of_a_server_that_writes(empty: Product) -> None:
    add(empty, "kept")
    is_over, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not is_over.is_set():
            add(empty, f"w{written:05d}")
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        empty.aic("snapshot", "save", "first", "--app", "library")
        backup = backed_up(empty)
        at_least = written
        script = "import os; print(os.environ['BOOKS_DB_URL'])"
        branch = [sys.executable, "-c", script]
        empty.aic("db", "branch", "books-db", "--app", "library", "--", *branch)
    finally:
        is_over.set()
        writer.join()
    assert at_least > 0, "it went on writing"
    empty.aic("backup", "verify", "books-db", backup, "--app", "library")
    assert len(titles(empty)) == 1 + written, "nothing that was acknowledged is lost by copying"
    empty.aic("snapshot", "restore", "first", "--app", "library", "--yes")
    found = titles(empty)
    assert "kept" in found and found == sorted(found) and len(found) <= 1 + written
    empty.aic("backup", "restore", "books-db", backup, "--app", "library", "--yes")
    assert len(found) <= len(titles(empty)) <= 1 + written


def test_passwords_are_exchanged_and_what_a_migration_made_goes_on_working(empty: Product) -> None:
    add(empty, "one")
    answers: list[int] = []
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            answers.append(asked(empty, "writer", "SELECT title FROM titles")[0])

    worker = threading.Thread(target=work)
    worker.start()
    before = given(empty, "writer")
    empty.aic("resources", "rotate", "books-db", "--app", "library")
    empty.aic("resources", "rotate", "books-db", "--app", "library")
    is_over.set()
    worker.join()
    assert len(answers) > 10 and set(answers) == {200}
    assert given(empty, "writer") != before
    assert asked(empty, "writer", "SELECT 1", by=before)[0] == 409, "the old one is no longer valid"
    assert titles(empty, "titles") == ["one"], "the login that made the view is gone for everybody but the view"


def given(made: Product, who: str) -> str:
    address = f"http://127.0.0.1:{made.ingress}/{who}"
    return subprocess.run(["curl", "-s", address], check=True, capture_output=True, text=True).stdout


def test_it_is_worked_with_by_hand(empty: Product) -> None:
    add(empty, "by hand")
    assert "there are 1" in by_hand(
        empty, "shell", "books-db", given="SELECT concat('there are ', count(*)) FROM books;"
    )
    dump = by_hand(empty, "dump", "books-db")
    assert "by hand" in dump and "titles" in dump
    asked(empty, "writer", "DELETE FROM books")
    by_hand(empty, "load", "books-db", given=dump)
    assert titles(empty) == titles(empty, "titles") == ["by hand"]
    failed = run_by_hand(empty, "load", "books-db", given=f"{dump}\nnonsense;\n")
    assert failed.returncode == 1 and "what stood before the line that failed was loaded" in failed.stderr
    by_hand(empty, "load", "books-db", given=dump)
    assert titles(empty) == ["by hand"]


WRITES = (
    "DELETE FROM books",
    "SELECT 1; DELETE FROM books",
    "SET PASSWORD = PASSWORD('x')",
    "SET STATEMENT max_statement_time = 0 FOR DELETE FROM books",
    "SELECT * FROM books INTO OUTFILE '/tmp/books-of-the-test'",
    "SELECT LOAD_FILE(concat('/etc/', title)) FROM books FOR UPDATE INTO DUMPFILE '/tmp/x'",
    "EXPLAIN nonsense",
    "SELECT * FROM mysql.user",
    "WITH gone AS (SELECT 1) DELETE FROM books",
    "ANALYZE DELETE FROM books",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE books",
    "SHOW GRANTS FOR 'aic'@'localhost'",
    "nonsense",
)


def test_a_question_reads_within_its_limits_and_does_nothing_else(empty: Product) -> None:
    for number in range(3):
        add(empty, f"{number}")
    status, answer = query(empty, "SELECT id, title FROM books ORDER BY title", rows=2)
    assert status == 200 and [row[1] for row in answer["rows"]] == ["0", "1"] and answer["is_cut"], answer
    assert query(empty, "SELECT NULL, x'ff00'")[1]["rows"] == [[None, "0xff00"]]
    for statement in WRITES:
        status, answer = query(empty, statement)
        assert status == 422 and answer["error"]["message"], (statement, answer)
    assert titles(empty) == ["0", "1", "2"]
    started = time.monotonic()
    status, answer = query(empty, "SELECT sleep(60)", seconds=0.5)
    assert status == 422 and "it took longer" in answer["error"]["message"]
    assert time.monotonic() - started < 30
    counted = (
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%sleep(60)%' AND ID <> connection_id()"
    )
    assert query(empty, counted)[1]["rows"] == [["0"]], "it was ended in the server too"
    assert query(empty, "SELECT count(*) FROM books")[1]["rows"] == [["3"]], "the login is what it was"


def test_it_says_how_it_is(empty: Product) -> None:
    add(empty, "one")
    status, view = call(empty, "apps/library/resources/books-db")
    assert status == 200 and "MariaDB" in view["engine"] and not view["trouble"], view
    assert {row["name"] for row in view["sections"]["relations"]} >= {"books"}
    assert [row["name"] for row in view["sections"]["schemas"]] == ["books_db", "audit"]
    (slow, *_) = [row for row in view["sections"]["queries"] if "INSERT" in row["query"]]
    assert "one" not in slow["query"] and slow["calls"] >= 1
    figures = call(empty, "metrics", prefix="/")[1]
    assert 'mysql_up{app="library",resource="books-db"} 1' in figures
    assert "mysql_global_status_queries" in figures and "mysql_info_schema_table_size" in figures


def test_no_password_is_in_a_plan_a_log_or_a_list_of_processes(empty: Product) -> None:
    secrets = [given(empty, who).split(":")[2].partition("@")[0] for who in ("keeper", "writer", "reader")]
    shown = "".join(
        empty.aic(*words)
        for words in (
            ("status", "--json"),
            ("plan", source(empty), "--json"),
            ("releases", "library", "--json"),
            ("logs", "library", "books-db"),
        )
    )
    shown += subprocess.run(["ps", "axww", "-o", "args"], check=True, capture_output=True, text=True).stdout
    assert all(len(secret) > 20 and secret not in shown for secret in secrets)
