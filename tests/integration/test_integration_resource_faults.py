"""Failures made on purpose on the way to a real PostgreSQL, as psycopg sees them, switched on and off while everything runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DIALER = """\
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg
kept = []
def dialled():
    began = time.monotonic()
    try:
        psycopg.connect(os.environ["BOOKS_DB_URL"], connect_timeout=20).close()
    except psycopg.OperationalError as error:
        return {"error": str(error)}
    return {"seconds": time.monotonic() - began}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith("/keep"):
            kept.append(psycopg.connect(os.environ["BOOKS_DB_URL"], autocommit=True))
        answer = {
            "pid": os.getpid(),
            "kept": [one.execute("SELECT pg_backend_pid()").fetchone()[0] for one in kept],
            "dialled": [dialled() for _ in range(int(self.headers.get("x-count", 0)))],
        }
        raw = json.dumps(answer).encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = f"""
app: library
services:
  web: {{run: "{sys.executable} dialer.py", public: /web, needs: [resources/books-db], traffic: {{timeout: 120s}}}}
  other: {{run: "{sys.executable} dialer.py", public: /other, needs: [resources/books-db], traffic: {{timeout: 120s}}}}
resources:
  books-db: {{type: postgres}}
"""
_COUNT = 100


def with_fault(folder: Path, fault: str) -> str:
    """The application's folder, with this fault on the way to the database; none where it is empty."""
    way = f", traffic: {{fault: {fault}}}" if fault else ""
    return str(application(folder, TEXT.replace("type: postgres", f"type: postgres{way}")))


def asked(made: Product, who: str, *, count: int = 0, keep: bool = False) -> dict[str, Any]:
    path = f"{who}/keep" if keep else who
    command = ["curl", "-sf", "-H", f"x-count: {count}", f"http://127.0.0.1:{made.ingress}/{path}"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def failed(answer: dict[str, Any]) -> int:
    return sum("error" in one for one in answer["dialled"])


def median(answer: dict[str, Any]) -> float:
    times = sorted(one["seconds"] for one in answer["dialled"])
    return float(times[len(times) // 2])


def test_connections_fail_and_wait_on_purpose_and_no_open_one_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "dialer.py").write_text(DIALER)
    with product() as own:
        own.aic("up", "-d", with_fault(folder, ""))
        first = asked(own, "web", count=20, keep=True)
        assert failed(first) == 0
        server = asked(own, "other", keep=True)

        own.aic("up", "-d", with_fault(folder, "{abort: true, share: 30%, callers: web}"))
        broken = asked(own, "web", count=_COUNT)
        assert 12 <= failed(broken) <= 48  # 30 of 100: four times the deviation that is to be expected, on either side
        assert "closed the connection" in next(one["error"] for one in broken["dialled"] if "error" in one)
        assert failed(asked(own, "other", count=20)) == 0
        wait_for_errors(own, at_least=failed(broken))
        shown = own.aic("resources")
        assert "30% break the connection off (web) — remove it from traffic.fault" in shown
        [row] = json.loads(own.aic("resources", "--json"))
        assert row["state"] == "ready" and row["restarts"] == 0

        own.aic("up", "-d", with_fault(folder, "{delay: 2s}"))
        late = asked(own, "web", count=5, keep=True)
        assert failed(late) == 0 and median(late) - median(first) == pytest.approx(2.0, rel=0.1)

        own.aic("up", "-d", with_fault(folder, ""))
        last = asked(own, "web", count=20)
        assert failed(last) == 0 and median(last) < 1.5
        assert last["pid"] == first["pid"] and last["kept"] == [*first["kept"], late["kept"][-1]]
        assert asked(own, "other")["kept"] == server["kept"]
        assert "traffic.fault" not in own.aic("resources")


def wait_for_errors(made: Product, *, at_least: int) -> None:
    """Until the edge in the mesh's graph counts them."""
    deadline = time.monotonic() + 30
    while True:
        edges = json.loads(made.aic("mesh", "edges", "library", "--json"))
        [edge] = [one for one in edges if (one["source"], one["target"]) == ("web", "books-db")]
        if edge["errors"] >= at_least:
            return
        assert time.monotonic() < deadline, edge
        time.sleep(0.5)
