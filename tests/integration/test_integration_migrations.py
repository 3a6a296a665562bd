"""Migrations and seeds against a real PostgreSQL: once for each content, before traffic moves, with their output in the release."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path

import pytest

from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WEB = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with psycopg.connect(os.environ["BOOKS_DB_URL"], connect_timeout=5) as connection:
            rows = connection.execute("SELECT what FROM done ORDER BY id").fetchall()
        raw = ",".join(row[0] for row in rows).encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TASK = """\
import os, sys, time
import psycopg
with psycopg.connect(os.environ["BOOKS_DB_URL"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS done (id serial PRIMARY KEY, what text)")
    connection.execute("INSERT INTO done (what) VALUES (%s)", (sys.argv[1],))
    print(f"did {sys.argv[1]} as {connection.info.user}", flush=True)
if sys.argv[1] == "broken":
    sys.exit("the table is not what was expected")
if sys.argv[1] == "stuck":
    time.sleep(600)
"""


def app(folder: Path, migrate: str, *, seed: str = "first rows") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "web.py").write_text(WEB)
    (folder / "task.py").write_text(TASK)
    task = f"{sys.executable} task.py"
    text = f"""
app: library
services:
  web:
    run: {sys.executable} web.py
    public: /
    needs: [resources/books-db: read]
    migrate: {{run: "{task} {migrate}", timeout: {"2s" if migrate == "stuck" else "2m"}}}
    seed: "{task} '{seed}'"
resources:
  books-db: {{type: postgres}}
"""
    return str(application(folder, text))


def done(own: Product) -> str:
    """What the tasks that ran have left, in their order."""
    with urllib.request.urlopen(f"http://127.0.0.1:{own.ingress}/", timeout=30) as answer:
        return str(answer.read().decode())


def test_a_migration_runs_once_for_each_content_and_a_failure_changes_nothing(tmp_path: Path) -> None:
    with product() as own:
        folder = tmp_path / "library"
        own.aic("up", "-d", app(folder, "one"))
        assert done(own) == "one,first rows"
        shown = own.aic("releases", "library")
        assert "did one as web.migrate" in shown and "did first rows as web.migrate" in shown
        assert "did one" in own.aic("logs", "library", "web")
        own.aic("up", "-d", app(folder, "two"))
        assert done(own) == "one,first rows,two"
        own.aic("rollback", "library")
        own.aic("down", "library")
        own.aic("up", "-d", str(folder))
        assert done(own) == "one,first rows,two", "what ran before does not run again"

        ended = own.run("up", "-d", app(folder, "broken"))
        assert ended.returncode != 0 and "the table is not what was expected" in ended.stderr + ended.stdout
        assert done(own).endswith("two,broken"), "what ran before goes on serving"
        latest = json.loads(own.aic("releases", "library", "--json"))[0]
        assert latest["state"] == "failed"
        printed = next(change["output"] for change in latest["changes"] if change["kind"] == "migration")
        assert any("the table is not what was expected" in line for line in printed)

        ended = own.run("up", "-d", app(folder, "stuck"))
        assert ended.returncode != 0 and re.search(r"not done within 2 s|2 s 内", ended.stderr + ended.stdout)
        assert done(own).endswith("stuck")
        assert not re.search(r"postgresql://[^ ]*:[^ ]*@", shown)
