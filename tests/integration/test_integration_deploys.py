"""A file to running pods: images built, pushed to a registry and pulled by a real node, requests served while versions change."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.images import bases
from tests.servers import clusters
from tests.servers import distributions as registries
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
PYTHON = Path("/usr/bin/python3").resolve().name
"""As the base has it."""
FILE = """\
app: greet
services:
  web:
    run: {python} server.py
    base: "{base}"
    public: /
    scale: 2
    health: /
    grace: 5s
    env: {{SAYS: "{says}"}}
environments:
  staging:
    target: kubernetes:///greet?registry=http://{registry}/team
"""
SERVER = """\
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["SAYS"].encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *values): print("asked", self.path, flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ["SAYS"] == "broken": sys.exit("this version cannot start")
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need(registries.MISSING or None)
    with registries.running(tmp_path_factory.mktemp("registry")) as served:
        yield served.address


@pytest.fixture(scope="module")
def cluster(registry: str) -> Iterator[Cluster]:
    need(clusters.obstacle("real"))
    with clusters.cluster(nodes="real") as one:
        one.offer(int(registry.rpartition(":")[2]))
        yield one


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[Product]:
    with product() as one:
        one.set(KUBECONFIG=str(cluster.kubeconfig))
        yield one


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    need(bases.missing() or None)
    return bases.layout(tmp_path_factory.mktemp("python"), architecture="amd64")


class Asker:
    """Asks the service without a pause, one connection for each question, until it is told to stop."""

    def __init__(self, place: str) -> None:
        self.place, self.answers, self.failures = place, dict[str, int](), list[str]()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            try:
                said = get(self.place)
                self.answers[said] = self.answers.get(said, 0) + 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
            time.sleep(0.01)


def get(place: str) -> str:
    with contextlib.closing(http.client.HTTPConnection(place, timeout=10)) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return text


def soon(place: str, says: str) -> bool:
    """The node's proxy hears of new pods, and of those that leave, a moment after the cluster's controllers do."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(place) == says:
                return True
        time.sleep(0.1)
    return False


def test_versions_take_over_without_a_failed_request_and_a_broken_one_goes_back(
    tmp_path: Path, made: Product, cluster: Cluster, registry: str, base: str
) -> None:
    (tmp_path / "server.py").write_text(SERVER)

    def deploy(says: str) -> Any:
        (tmp_path / "aic.yaml").write_text(FILE.format(base=base, says=says, registry=registry, python=PYTHON))
        return made.run("deploy", str(tmp_path), "--to", "staging")

    done = deploy("one")
    assert done.returncode == 0, done.stdout + done.stderr
    place = cluster.dial_service("web", namespace="greet")
    assert soon(place, "one")
    with Asker(place) as asker:
        for says in ("two", "three", "four"):
            done = deploy(says)
            assert done.returncode == 0, done.stdout + done.stderr
            assert soon(place, says)
        done = deploy("broken")
        assert done.returncode == 1
        assert "this version cannot start" in done.stderr
        assert soon(place, "four")
    assert asker.failures == []
    assert set(asker.answers) == {"one", "two", "three", "four"}
    assert json.loads(made.aic("plan", str(tmp_path), "--to", "staging", "--json"))[0]["why"] == "changed: env"
    pods = json.loads(made.aic("ps", "greet@staging", "--json"))
    assert [(row["name"], row["state"], row["ready"]) for row in pods] == [("web", "ready", 2)]
    assert "asked /" in made.aic("logs", "greet@staging", "web")
    assert made.aic("exec", "--app", "greet@staging", "web", "--", "sh", "-c", "echo $SAYS").strip() == "four"
