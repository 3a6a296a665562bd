"""Databases that an application names: real servers, reached through the mesh, with a password for each workload."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ASKER = """\
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        statement = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            with psycopg.connect(self.headers.get("x-url") or os.environ["BOOKS_DB_URL"], connect_timeout=5) as connection:
                cursor = connection.execute(statement)
                status, answer = 200, cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            status, answer = 409, str(error)
        raw = json.dumps(answer, default=str).encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def do_GET(self):
        raw = os.environ.get("BOOKS_DB_URL", "").encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = f"""
app: library
services:
  keeper: {{run: "{sys.executable} asker.py", public: /keeper, needs: [resources/books-db: admin]}}
  writer: {{run: "{sys.executable} asker.py", public: /writer, needs: [resources/books-db]}}
  reader: {{run: "{sys.executable} asker.py", public: /reader, needs: [resources/books-db: read]}}
  stranger: {{run: "{sys.executable} asker.py", public: /stranger}}
resources:
  books-db: {{type: postgres}}
"""


def app(folder: Path, text: str = TEXT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asker.py").write_text(ASKER)
    return application(folder, text)


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def asked(made: Product, who: str, statement: str, *, by: str = "") -> tuple[int, object]:
    """The service's answer to a statement that it runs with its own credential, or with that of the URL `by`."""
    command = ["curl", "-s", "-w", "\n%{http_code}", "-H", f"x-url: {by}", "--data-binary", statement]
    address = f"http://127.0.0.1:{made.ingress}/{who}"
    text, _, status = subprocess.run([*command, address], check=True, capture_output=True, text=True).stdout.rpartition(
        "\n"
    )
    return int(status), json.loads(text) if text else None


def test_a_database_is_there_and_each_verb_is_a_role(own: Product, tmp_path: Path) -> None:
    own.aic("up", "-d", str(app(tmp_path / "library")))
    assert asked(own, "keeper", "CREATE TABLE books (id serial PRIMARY KEY, title text)")[0] == 200
    assert asked(own, "writer", "INSERT INTO books (title) VALUES ('one') RETURNING id") == (200, [[1]])
    assert asked(own, "reader", "SELECT title FROM books") == (200, [["one"]])
    assert asked(own, "reader", "INSERT INTO books (title) VALUES ('two')")[0] == 409
    assert asked(own, "writer", "DROP TABLE books")[0] == 409
    own.aic("down", "library")
    own.aic("up", "-d", str(tmp_path / "library"))
    assert asked(own, "reader", "SELECT title FROM books") == (200, [["one"]]), "down keeps the data"


def test_a_snapshot_is_gone_back_to_and_nothing_is_lost(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path / "library")
    own.aic("up", "-d", str(folder))
    asked(own, "keeper", "CREATE TABLE books (title text)")
    asked(own, "writer", "INSERT INTO books VALUES ('one')")
    own.aic("snapshot", "save", "first", "--app", "library")
    asked(own, "writer", "INSERT INTO books VALUES ('two')")
    own.aic("snapshot", "restore", "first", "--app", "library", "--yes")
    assert asked(own, "reader", "SELECT title FROM books") == (200, [["one"]])
    (before,) = [row for row in snapshots(own) if row["name"] != "first"]
    own.aic("snapshot", "restore", before["name"], "--app", "library", "--yes")
    whole = snapshots(own)[0]["name"]
    assert asked(own, "reader", "SELECT title FROM books ORDER BY title") == (200, [["one"], ["two"]])
    refused = own.aic("snapshot", "restore", "never", "--app", "library", "--yes", "--json", check=False)
    assert refused == "" and len(snapshots(own)) == 3
    for file in own.home.glob("snapshots/library/first/books-db/cluster/global/pg_control"):
        file.write_bytes(b"no longer what it was")
    with pytest.raises(RuntimeError):
        own.aic("snapshot", "restore", "first", "--app", "library", "--yes")
    assert asked(own, "reader", "SELECT title FROM books ORDER BY title") == (200, [["one"], ["two"]]), "as it was"
    assert len(snapshots(own)) == 3
    twin = app(tmp_path / "twin", TEXT.replace("library", "twin"))
    own.aic("up", "-d", str(twin), "--from", f"library/{whole}")
    command = ["curl", "-s", "--data-binary", "SELECT title FROM books", "-H", "host: twin.localhost"]
    answer = subprocess.run([*command, f"http://127.0.0.1:{own.ingress}/reader"], check=True, capture_output=True)
    assert json.loads(answer.stdout) == [["one"]]


def snapshots(made: Product) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(made.aic("snapshot", "list", "--app", "library", "--json"))
    return found


def test_a_backup_is_proven_restored_and_a_flipped_byte_is_found(own: Product, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    declared = f'{{type: postgres, backup: {{every: 1d, keep: 2, to: "file://{shelf}"}}}}'
    own.aic("up", "-d", str(app(tmp_path / "library", TEXT.replace("{type: postgres}", declared))))
    asked(own, "keeper", "CREATE TABLE books AS SELECT n AS id, md5(n::text) AS title FROM generate_series(1, 5000) n")
    made = backed_up(own)
    asked(own, "keeper", "DELETE FROM books")
    own.aic("backup", "verify", "books-db", made, "--app", "library")
    own.aic("backup", "restore", "books-db", made, "--app", "library", "--yes")
    assert asked(own, "reader", "SELECT count(*) FROM books") == (200, [[5000]])
    for _ in range(2):
        backed_up(own)
    place = shelf / "library" / "books-db"
    kept = sorted(file.parent.name for file in place.glob("*/backup.json"))
    assert len(kept) == 2 and made not in kept, "two are kept"
    assert [row["name"][:7] for row in snapshots(own)] == ["before-"], "what was unpacked is gone"
    flip(place / kept[0] / "data.tar.gz", at=1000)
    with (place / kept[1] / "data.tar.gz").open("r+b") as archive:
        archive.truncate(100_000)
    for damaged in kept:
        with pytest.raises(RuntimeError, match="damaged"):
            own.aic("backup", "verify", "books-db", damaged, "--app", "library")


def backed_up(made: Product) -> str:
    (about,) = json.loads(made.aic("backup", "now", "books-db", "--app", "library", "--json"))
    return str(about["name"])


def flip(file: Path, *, at: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1]))


def test_a_branch_is_a_copy_that_goes_when_its_command_is_over(own: Product, tmp_path: Path) -> None:
    own.aic("up", "-d", str(app(tmp_path / "library")))
    asked(own, "keeper", "CREATE TABLE books AS SELECT n AS id FROM generate_series(1, 100) n")
    script = (
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['BOOKS_DB_URL']) as one:\n"
        "    print(one.execute('DELETE FROM books').rowcount, one.execute('SELECT count(*) FROM books').fetchone()[0])\n"
        "raise SystemExit(3)\n"
    )
    command = ["db", "branch", "books-db", "--app", "library", "--", sys.executable, "-c", script]
    with pytest.raises(RuntimeError, match="ended with 3: 100 0"):
        own.aic(*command)
    assert asked(own, "reader", "SELECT count(*) FROM books") == (200, [[100]]), "the original knows nothing of it"
    assert list(own.home.rglob(".branch-*")) == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_branch_goes_however_its_command_is_ended(own: Product, tmp_path: Path, sign: signal.Signals) -> None:
    own.aic("up", "-d", str(app(tmp_path / "library")))
    command = [sys.executable, "-m", "aiculturekit", "db", "branch", "books-db", "--app", "library"]
    with subprocess.Popen(
        command,
        env={**os.environ, "AIC_HOME": str(own.home), "AIC_LANG": "en"},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("postgresql://")
        assert list(own.home.rglob(".branch-*")) != []
        running.send_signal(sign)
    assert running.returncode == 130
    assert list(own.home.rglob(".branch-*")) == []


def test_passwords_are_exchanged_without_a_failed_request(own: Product, tmp_path: Path) -> None:
    own.aic("up", "-d", str(app(tmp_path / "library")))
    asked(own, "keeper", "CREATE TABLE books (title text)")
    before = url(own, "writer")
    answers: list[int] = []
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            answers.append(asked(own, "writer", "INSERT INTO books VALUES ('x')")[0])

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    own.aic("resources", "rotate", "books-db", "--app", "library")
    deadline = time.monotonic() + 30
    while len(answers) <= 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    is_over.set()
    for worker in workers:
        worker.join()
    assert len(answers) > 20 and set(answers) == {200}
    after = url(own, "writer")
    assert after != before
    assert asked(own, "reader", "SELECT count(*) FROM books") == (200, [[len(answers)]])
    assert asked(own, "writer", "SELECT 1", by=after) == (200, [[1]])
    assert asked(own, "writer", "SELECT 1", by=before)[0] == 409, "the old one is no longer valid"


def url(made: Product, who: str) -> str:
    """What the service was given."""
    pid = next(row["pids"][0] for row in made.status()["workloads"] if row["name"] == who)
    return str(psutil.Process(pid).environ()["BOOKS_DB_URL"])
