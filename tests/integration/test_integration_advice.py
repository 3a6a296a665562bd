"""`aic mesh edges` and `aic mesh advise` of the real product: what was called, what was not, what was refused; across a new daemon."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
CODE = """
import os, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/stray":
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": os.environ["MESH_PROXY_URL"]}))
            try:
                opener.open("http://vault/x", timeout=5).read()
            except urllib.error.HTTPError:
                pass
        elif url := os.environ.get("API_URL"):
            urllib.request.urlopen(url, timeout=5).read()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = """\
app: advised
services:
  web:
    run: python serve.py
    public: /
    needs:
      - api
      - spare
  api: {run: python serve.py}
  spare: {run: python serve.py}
  vault: {run: python serve.py}
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Product]:
    application(tmp_path / "app", TEXT)
    (tmp_path / "app" / "serve.py").write_text(CODE)
    with product() as product_:
        product_.aic("up", "-d", str(tmp_path / "app"))
        yield product_


def ask(port: int, path: str = "/") -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).read()


@contextlib.contextmanager
def calling(port: int) -> Iterator[None]:
    stop = threading.Event()

    def call() -> None:
        while not stop.wait(0.2):
            ask(port)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.5)
    return value


def advice(made: Product, window: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.aic("mesh", "advise", "advised", "--window", window, "--json"))
    return found


def test_needs_are_compared_with_what_was_called(made: Product, tmp_path: Path) -> None:
    port, file = made.ingress, str(tmp_path / "app" / "aic.yaml")
    with calling(port):

        def settled() -> dict[str, dict[str, Any]] | None:
            ask(port, "/stray")  # again and again: it must lie within the window when the rest is known
            findings = {one["kind"]: one for one in advice(made, "20s")["findings"]}
            return findings if findings.keys() == {"refused", "unused", "reads"} else None

        findings = until(settled)
        assert (findings["unused"]["target"], findings["unused"]["line"]) == ("spare", 8)
        assert (findings["reads"]["target"], findings["reads"]["line"]) == ("api", 7)
        assert "{api: read}" in findings["reads"]["hint"]
        assert (findings["refused"]["target"], findings["refused"]["line"]) == ("vault", 6)
        assert {one["file"] for one in findings.values()} == {file}
        said = made.aic("mesh", "advise", "advised", "--window", "20s")
        assert f"{file}:8: web has never called spare" in said and "remove `spare` from services.web.needs" in said
        assert "no need is called unused yet" in made.aic("mesh", "advise", "advised", "--window", "1h")

        edges = {
            one["target"]: one for one in json.loads(made.aic("mesh", "edges", "advised", "--window", "1m", "--json"))
        }
        assert edges["api"]["rate"] > 0 and edges["api"]["tls"] == "proven" and edges["api"]["p95_ms"] > 0
        assert edges["spare"]["requests"] == 0 and edges["spare"]["tls"] == "unused"

    before = {one["target"]: one for one in advice(made, "1h")["grants"]}
    made.aic("server", "stop", "--keep")
    made.aic("server", "start")
    after = until(lambda: {one["target"]: one for one in advice(made, "1h")["grants"] if one["since"]})
    assert {name: one["since"] for name, one in after.items()} == {name: one["since"] for name, one in before.items()}
    assert after["api"]["called_at"] is not None and after["spare"]["called_at"] is None
