"""Looking into resources that run: what they say of themselves, and what cannot be done by asking them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.integration.test_integration_resources import TEXT, app, asked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ONE = "apps/library/resources/books-db"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product() as made:
        made.aic("up", "-d", str(app(tmp_path_factory.mktemp("library"), TEXT)))
        assert asked(made, "keeper", "CREATE TABLE books (id serial PRIMARY KEY, title text)")[0] == 200
        assert (
            asked(made, "writer", "INSERT INTO books (title) SELECT 'b' || n FROM generate_series(1, 1000) n")[0] == 200
        )
        yield made


def call(made: Product, path: str, body: object = None, *, prefix: str = "/api/v1/") -> tuple[int, Any]:
    """(status, answer) of the API."""
    place = json.loads((made.home / "daemon.json").read_text())["api"]
    headers = {
        "authorization": f"Bearer {(made.home / 'token').read_text().strip()}",
        "content-type": "application/json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{place}{prefix}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            raw = answer.read().decode()
            return answer.status, json.loads(raw) if "json" in answer.headers["content-type"] else raw
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def query(made: Product, statement: str, **more: object) -> tuple[int, Any]:
    return call(made, f"{ONE}/query", {"statement": statement, **more})


def test_the_list_has_what_scripts_rely_on(library: Product) -> None:
    (row,) = json.loads(library.aic("resources", "--json"))
    assert (row["app"], row["name"], row["type"], row["state"], row["embedded"]) == (
        "library", "books-db", "postgres", "ready", True,
    )  # fmt: skip
    assert row["version"].startswith("18") and row["size_bytes"] > 2**20
    assert row["url"].startswith("postgresql://***@127.0.0.1:") and row["url"].endswith("/books_db")
    assert "books-db" in library.aic("resources")


def test_a_server_says_what_it_has_and_what_is_slow(library: Product) -> None:
    asked(library, "reader", "SELECT count(*), pg_sleep(0.3) FROM books")
    status, view = call(library, ONE)
    assert status == 200 and view["trouble"] == ""
    assert view["engine"].startswith("18") and view["uptime"] > 0 and view["data_bytes"] > 2**20
    (table,) = view["sections"]["tables"]
    assert (table["schema"], table["name"]) == ("public", "books") and table["bytes"] > 0
    slow = [row for row in view["sections"]["queries"] if "pg_sleep" in row["query"]]
    assert slow and slow[0]["mean_ms"] >= 300 and slow[0]["calls"] == 1
    assert {"workload": "reader", "verb": "read"} in view["needed_by"]


def test_metrics_have_the_names_of_the_usual_exporter(library: Product) -> None:
    text = call(library, "metrics", prefix="/")[1]
    assert 'pg_up{app="library",resource="books-db"} 1' in text
    assert 'pg_database_size_bytes{app="library",resource="books-db",datname="books_db"}' in text
    assert text.count("# TYPE pg_up gauge") == 1


def test_a_question_is_answered_to_its_limit(library: Product) -> None:
    status, answer = query(library, "SELECT id, title FROM books ORDER BY id", rows=3)
    assert status == 200 and answer["is_cut"]
    assert [column["name"] for column in answer["columns"]] == ["id", "title"]
    assert answer["rows"] == [["1", "b1"], ["2", "b2"], ["3", "b3"]]
    assert not query(library, "SELECT 1")[1]["is_cut"]


WRITES = (
    "DELETE FROM books",
    "DROP TABLE books",
    "SELECT 1; DELETE FROM books",
    "WITH gone AS (DELETE FROM books RETURNING 1) SELECT * FROM gone",
    "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM books; END $$",
    "DO $$ BEGIN COMMIT; DELETE FROM books; END $$",
    "EXPLAIN ANALYZE DELETE FROM books",
    "COPY books FROM STDIN",
    "COPY books TO '/tmp/books'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_create(0)",
    "SELECT nextval('books_id_seq')",
    "SET ROLE aic_admin",
    "SET SESSION AUTHORIZATION aic",
    "SELECT rolpassword FROM pg_authid",
    "\\! true",
    "nonsense",
)


@pytest.mark.parametrize("statement", WRITES)
def test_a_question_cannot_write_or_reach_out(library: Product, statement: str) -> None:
    status, answer = query(library, statement)
    assert status == 422 and answer["error"]["message"]
    assert query(library, "SELECT count(*) FROM books")[1]["rows"] == [["1000"]]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_sleep(60)",
        "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); PERFORM pg_sleep(60); END $$",
    ],
)
def test_the_server_itself_ends_what_takes_too_long(library: Product, statement: str) -> None:
    started = time.monotonic()
    status, answer = query(library, statement, seconds=0.5)
    assert status == 422 and "timeout" in answer["error"]["message"]
    assert time.monotonic() - started < 30
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    assert query(library, running)[1]["rows"] == [["0"]]


def test_what_is_not_there_is_said(library: Product) -> None:
    assert call(library, "apps/library/resources/none")[0] == 404
    assert query(library, "  ")[0] == 422
    assert query(library, "SELECT 1", database="postgres")[0] == 403
    assert query(library, "SELECT 1", rows=10**6)[0] == 422
    assert call(library, f"{ONE}/items?what=keys")[0] == 403


HELD = "import os, psycopg; c = psycopg.connect(os.environ['BOOKS_DB_URL']); c.execute('SELECT 1'); print('held', flush=True); input()"


def test_open_connections_are_counted_by_workload(library: Product) -> None:
    command = [
        sys.executable,
        "-m",
        "aiculturekit",
        "exec",
        "reader",
        "--app",
        "library",
        "--",
        sys.executable,
        "-c",
        HELD,
    ]
    with subprocess.Popen(
        command, env=library._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            clients = call(library, ONE)[1]["clients"]
            assert [(row["workload"], row["state"], row["count"]) for row in clients] == [
                ("reader", "idle in transaction", 1)
            ]
            graph = call(library, "apps/library/graph")[1]
            (edge,) = [one for one in graph["edges"] if (one["source"], one["target"]) == ("reader", "books-db")]
            assert edge["protocol"] == "tcp" and edge["meshed"] and not edge["mtls"]
        finally:
            process.communicate("\n", timeout=60)
