"""A file to running pods: images built, pushed to a registry and pulled by a real node, requests served while versions change."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.images import bases
from tests.servers import clusters, programs
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
        path = f"{programs.path('kubectl').parent}:{os.environ['PATH']}"
        one.set(KUBECONFIG=str(cluster.kubeconfig), PATH=path)
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


class Running:
    """A command that goes on until it is interrupted; its lines as they come."""

    def __init__(self, made: Product, *words: str) -> None:
        self.process = made.begun(*words)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Running:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line)

    def first(self, text: str, *, after: int = 0, seconds: float = 60) -> str:
        """The first line with the text, waited for."""
        end = time.monotonic() + seconds
        while True:
            for line in self.lines[after:]:
                if text in line:
                    return line
            assert time.monotonic() < end and self.process.poll() is None, self.lines
            time.sleep(0.05)


@pytest.fixture(scope="module")
def greet(tmp_path_factory: pytest.TempPathFactory, made: Product, registry: str, base: str) -> Path:
    """In force, whatever was before."""
    folder = tmp_path_factory.mktemp("greet")
    (folder / "server.py").write_text(SERVER)
    (folder / "aic.yaml").write_text(FILE.format(base=base, says="hello", registry=registry, python=PYTHON))
    made.aic("deploy", str(folder), "--to", "staging")
    return folder


def test_lines_are_followed_from_pod_to_pod(made: Product, cluster: Cluster, greet: Path) -> None:
    place = cluster.dial_service("web", namespace="greet")
    assert soon(place, "hello")
    with Running(made, "logs", "-f", "--tail", "0", "greet@staging", "web") as following:
        end = time.monotonic() + 60
        while not following.lines:  # it is connected a moment after it began
            assert time.monotonic() < end
            assert get(place)
            time.sleep(0.2)
        assert "asked /" in following.lines[0]
        text = (greet / "aic.yaml").read_text()
        (greet / "aic.yaml").write_text(text.replace('"hello"', '"again"'))
        made.aic("deploy", str(greet), "--to", "staging")
        assert soon(place, "again")
        known = {line.split()[0] for line in following.lines}
        count = len(following.lines)
        for _ in range(20):
            get(place)
        assert following.first("asked /", after=count)
        assert known
    assert following.process.returncode in (0, 130, -signal.SIGINT)


def test_ports_lead_to_a_workload_and_to_the_public_path(made: Product, greet: Path) -> None:
    with Running(made, "forward", "--app", "greet@staging", "web", "8080", "--local", "0") as forwarding:
        place = forwarding.first("127.0.0.1:").split()[2]
        assert get(place) in ("hello", "again")
    with Running(made, "open", "greet@staging", "--print") as opened:
        url = opened.first("http://127.0.0.1:").split()[0]
        assert url.endswith("/") and get(url.removeprefix("http://").rstrip("/")) in ("hello", "again")


def test_a_command_runs_in_a_pod_with_its_own_exit_code(made: Product, greet: Path) -> None:
    words = ("exec", "--app", "greet@staging", "web", "--")
    assert made.run(*words, "sh", "-c", "echo out; echo err >&2; exit 7").returncode == 7
    assert made.aic(*words, PYTHON, "-c", "import os; print(os.getuid())").strip() == "65532"
    done = made.run("exec", "--app", "greet@staging", "nobody", "--", "true")
    assert done.returncode == 1 and "no pod of greet@staging/nobody runs" in done.stderr


def test_a_registry_that_wants_a_login_is_pushed_to_and_pulled_from(
    tmp_path: Path, cluster: Cluster, base: str
) -> None:
    """By what `docker login` wrote down here, and by a Secret there."""
    with registries.tokens(tmp_path / "tokens") as auth, registries.running(tmp_path / "registry", auth=auth) as served:
        port = int(served.address.rpartition(":")[2])
        cluster.offer(port)
        cluster.offer(int(auth["token"]["realm"].split(":")[2].partition("/")[0]))  # where the node gets its tokens
        (tmp_path / "docker").mkdir()
        login = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
        config = {"auths": {served.address: {"auth": login}}}
        (tmp_path / "docker" / "config.json").write_text(json.dumps(config))
        (tmp_path / "server.py").write_text(SERVER)
        text = FILE.format(base=base, says="secret", registry=served.address, python=PYTHON)
        (tmp_path / "aic.yaml").write_text(text.replace("app: greet", "app: private").replace("///greet", "///private"))
        with product() as stranger:
            stranger.set(KUBECONFIG=str(cluster.kubeconfig), DOCKER_CONFIG=str(tmp_path / "nowhere"))
            done = stranger.run("deploy", str(tmp_path), "--to", "staging")
            assert done.returncode != 0 and "docker login" in done.stderr, done.stderr
        cluster.kubectl("create", "namespace", "private")  # ours only to work in: no deploy removes it
        with product() as known:
            known.set(KUBECONFIG=str(cluster.kubeconfig), DOCKER_CONFIG=str(tmp_path / "docker"))
            done = known.run("deploy", str(tmp_path), "--to", "staging")
            assert done.returncode == 1 and "ImagePull" in done.stderr, done.stderr  # the node is a stranger
            file = ("--from-file=.dockerconfigjson=" + str(tmp_path / "docker" / "config.json"),)
            kind = "--type=kubernetes.io/dockerconfigjson"
            cluster.kubectl("-n", "private", "create", "secret", "generic", "pulls", kind, *file)
            text = (tmp_path / "aic.yaml").read_text().replace("/team", "/team&pull_secret=pulls")
            (tmp_path / "aic.yaml").write_text(text)
            known.aic("deploy", str(tmp_path), "--to", "staging")
        assert soon(cluster.dial_service("web", namespace="private"), "secret")
