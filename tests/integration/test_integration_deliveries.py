"""Deliveries with real processes behind a real Envoy under load: what users see of a good version, of a bad one, and of a daemon that dies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loads import Load
from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SERVER = """\
import itertools, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
SAYS, BAD_OF_TEN, SLEEPS = {says!r}, {bad}, {sleeps}
numbers = itertools.count()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(SLEEPS)
        raw = SAYS.encode()
        self.send_response(500 if next(numbers) % 10 < BAD_OF_TEN else 200)
        self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FILE = "app: roll\nservices:\n  web: {run: python server.py, public: /}\n"


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def code(folder: Path, says: str, *, bad: int = 0, sleeps: float = 0.0) -> str:
    (folder / "server.py").write_text(SERVER.format(says=says, bad=bad, sleeps=sleeps))
    return str(folder)


def begun(made: Product, folder: Path) -> str:
    application(folder, FILE)
    made.aic("up", "-d", code(folder, "one"))
    return str(folder)


def delivery(made: Product, app: str = "roll") -> dict[str, Any]:
    """As the API has it."""
    host = made.status()["api"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request(
        "GET", f"/api/v1/apps/{app}/delivery", headers={"authorization": f"Bearer {(made.home / 'token').read_text()}"}
    )
    answer = connection.getresponse()
    found: dict[str, Any] = json.loads(answer.read())
    connection.close()
    assert answer.status == 200
    return found


def until(condition: Callable[[], bool], *, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.3)


def answered(port: int, **headers: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def fails(made: Product, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "AIC_HOME": str(made.home), "AIC_ISOLATED": "1", "AIC_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-m", "aiculturekit", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def versions(made: Product) -> set[str]:
    return {row["version"] for row in made.status()["workloads"]}


def weights(made: Product) -> dict[str, float]:
    return {row["version"]: row["weight"] for row in json.loads(made.aic("traffic", "roll/web", "--json"))}


def test_a_good_version_takes_over_without_a_failed_request(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=80, connections=16)
    with load.running(longest=150):
        code(tmp_path, "two")
        said = own.aic(
            "deploy", folder, "--canary", "20,50,100", "--every", "5s", "--min-requests", "20", "--reason", "faster tea"
        )
        port = own.ingress
        assert {answered(port) for _ in range(10)} == {"two"}
    assert load.failed == 0, load.results
    assert load.versions["one"] > 0 and load.versions["two"] > 0
    assert versions(own) == {"v1"}
    steps = [line.split("%")[0].split()[-1] for line in said.splitlines() if "of the requests for" in line]
    assert steps == ["20", "50", "100"]
    state = delivery(own)
    assert (state["state"], [step["state"] for step in state["steps"]]) == ("done", ["done"] * 3)
    reasons = [release["reason"] for release in json.loads(own.aic("releases", "roll", "--json"))]
    assert any("canary of web, 20%: faster tea" in reason for reason in reasons)
    assert any("canary of web, 50%: web canary: 0.0% errors" in reason for reason in reasons)
    own.aic("rollback", "roll")
    assert {answered(own.ingress) for _ in range(10)} == {"one"}


def test_errors_send_it_back_and_few_users_have_seen_one(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=100, connections=16)
    with load.running(longest=120):
        time.sleep(2)
        code(tmp_path, "bad", bad=5)
        before, begun_at = sum(load.results.values()), time.monotonic()
        status, said = fails(own, "deploy", folder, "--canary", "10,50,100", "--every", "60s")
        took, sent = time.monotonic() - begun_at, sum(load.results.values()) - before
    assert status == 1
    assert "went back: web canary answered" in said and "allowed is errors<1%" in said
    assert "50% of the requests" not in said
    assert took < 60, "it waited for its step to end"
    # all that ever met the new version are a tenth of the requests sent in that time, and half of those failed
    assert 0 < load.versions["bad"] <= 0.10 * sent + 15, (load.versions, sent)
    assert load.failed <= 0.10 * sent + 15, (load.results, sent)
    assert set(load.results) <= {"ok", "status 500"}, load.results
    state = delivery(own)
    assert (state["state"], state["weight"]) == ("back", 10)
    assert _seconds(state["ended_at"]) - _seconds(state["since"]) < 60
    assert weights(own) == {"v1": 100}
    code(tmp_path, "unused")
    pid = own.status()["workloads"][0]["pids"][0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in own.status()["workloads"][0]["pids"] and own.status()["workloads"][0]["state"] == "ready")
    assert answered(own.ingress) == "one", "a new process of the stable version runs the stable code"


def _seconds(moment: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(moment).timestamp()


def test_a_slow_version_is_caught_by_its_p95(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=40, connections=24)
    with load.running(longest=120):
        code(tmp_path, "slow", sleeps=1.5)
        status, said = fails(own, "deploy", folder, "--canary", "25,100", "--every", "60s", "--slo", "p95<900ms")
    assert (status, "web canary has a p95 of" in said, "allowed is p95<900ms" in said) == (1, True, True)
    assert load.failed == 0, load.results
    assert versions(own) == {"v1"}


def test_without_requests_it_is_not_taken_for_good(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    code(tmp_path, "two")
    status, said = fails(own, "deploy", folder, "--canary", "50,100", "--every", "2s", "--patience", "8s")
    assert status == 1
    assert "not enough requests to judge yet: web canary 0 of 101; goes back by itself in" in said
    assert "went back: not enough requests to judge: web canary 0 of 101" in said
    assert answered(own.ingress) == "one"


def test_a_version_that_never_becomes_ready_changes_nothing(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    (tmp_path / "server.py").write_text("print('no such table'); raise SystemExit(3)")
    status, said = fails(own, "deploy", folder, "--canary", "5,100")
    assert (status, "no such table" in said) == (1, True)
    assert delivery(own)["state"] == "failed"
    assert answered(own.ingress) == "one"
    assert versions(own) == {"v1"}
    code(tmp_path, "two")
    own.aic("up", "-d", folder)
    assert answered(own.ingress) == "two"


def test_a_killed_daemon_is_followed_by_one_that_carries_it_on(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=60, connections=16)
    with load.running(longest=150):
        code(tmp_path, "two")
        own.aic("deploy", "-d", folder, "--canary", "25,100", "--every", "6s", "--min-requests", "10")
        until(lambda: delivery(own)["state"] == "running" and bool(delivery(own)["figures"][0]["requests"]))
        os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
        time.sleep(2)
        own.aic("server", "start")
        assert delivery(own)["state"] in ("running", "finishing", "done")
        said = own.aic("deploy", "--follow", "roll")
        until(lambda: delivery(own)["ended_at"] is not None)
        assert "done" in said
    assert load.failed == 0, load.results
    assert delivery(own)["state"] == "done"
    assert (versions(own), answered(own.ingress)) == ({"v1"}, "two")


def test_a_daemon_killed_at_any_moment_leaves_one_of_two_ends(own: Product, tmp_path: Path) -> None:
    """Killed while the new version comes up, while weights move, while it finishes: never half of it for ever."""
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=40, connections=16)
    with load.running(longest=240):
        for turn, pause in enumerate((0.2, 1.2, 4.2)):
            code(tmp_path, f"turn {turn}")
            shell = threading.Thread(
                target=fails,
                args=(own, "deploy", folder, "--canary", "50,100", "--every", "3s", "--min-requests", "10"),
            )
            shell.start()
            time.sleep(1.0 + pause)
            os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
            shell.join()
            own.aic("server", "start")
            until(lambda: versions(own) == {"v1"} and weights(own) == {"v1": 100})
            until(lambda: all(row["state"] == "ready" for row in own.status()["workloads"]))
    assert load.failed == 0, load.results


def test_rollback_during_a_canary_goes_back_and_up_is_refused(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    code(tmp_path, "two")
    own.aic("deploy", "-d", folder, "--canary", "50,100", "--every", "10m")
    until(lambda: weights(own) == {"v1": 50, "canary": 50})
    status, said = fails(own, "up", "-d", folder)
    assert (status, "is being delivered" in said, "aic deploy --abort roll" in said) == (1, True, True)
    assert fails(own, "traffic", "roll/web", "canary=60%")[0] == 1
    own.aic("rollback", "roll")
    state = delivery(own)
    assert (state["state"], state["sentence"]) == ("back", "went back: local said so")
    assert (versions(own), answered(own.ingress)) == ({"v1"}, "one")
    own.aic("up", "-d", folder)
    assert answered(own.ingress) == "two"


def test_down_ends_a_delivery(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    code(tmp_path, "two")
    own.aic("deploy", "-d", folder, "--canary", "50,100", "--every", "10m")
    until(lambda: weights(own) == {"v1": 50, "canary": 50})
    own.aic("down", "roll")
    until(lambda: delivery(own)["state"] == "dropped")
    assert own.status()["workloads"] == []
    own.aic("up", "-d", folder)
    assert answered(own.ingress) == "two"


def test_blue_green_shows_switches_and_goes_back_at_once(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    load = Load(own.ingress, rate=60, connections=16)
    with load.running(longest=150):
        code(tmp_path, "two")
        own.aic("deploy", "-d", folder, "--blue-green")
        until(lambda: "aic promote" in delivery(own)["sentence"])
        port = own.ingress
        assert answered(port, x_preview="roll") == "two"
        assert answered(port) == "one"
        assert delivery(own)["preview"] == "x-preview: roll"
        said = own.aic("promote", "roll")
        assert "the old version is kept" in said
        assert {answered(port) for _ in range(10)} == {"two"}
        assert versions(own) == {"v1", "preview"}
        before = time.monotonic()
        own.aic("rollback", "roll")
        assert time.monotonic() - before < 30
        assert {answered(port) for _ in range(10)} == {"one"}
        assert versions(own) == {"v1"}
        own.aic("deploy", "-d", folder, "--blue-green", "--promote-after", "2s", "--keep", "3s")
        until(lambda: delivery(own)["state"] == "done")
        assert (versions(own), answered(port)) == ({"v1"}, "two")
    assert load.failed == 0, load.results


def test_a_version_of_the_file_moves_by_steps(own: Product, tmp_path: Path) -> None:
    text = "app: roll\nservices:\n  web:\n    run: python server.py\n    public: /\n    versions: {{v1: {{}}, v2: {{weight: 0%, env: {{EDIT: '{edit}'}}}}}}\n"
    application(tmp_path, text.format(edit=1))
    own.aic("up", "-d", code(tmp_path, "same"))
    application(tmp_path, text.format(edit=2))
    status, said = fails(own, "deploy", str(tmp_path), "--canary", "50,100")
    assert (status, "--version web/VERSION" in said) == (3, True)
    load = Load(own.ingress, rate=60, connections=16)
    with load.running(longest=120):
        own.aic(
            "deploy", str(tmp_path), "--canary", "50,100", "--version", "v2", "--every", "3s", "--min-requests", "10"
        )
    assert load.failed == 0, load.results
    assert weights(own) == {"v1": 0, "v2": 100}


def test_what_is_wrong_is_said_before_anything_is_touched(own: Product, tmp_path: Path) -> None:
    folder = begun(own, tmp_path)
    for words, hint in (
        (["--canary", "50,20"], "grow"),
        (["--canary", "5,100", "--slo", "fast"], "errors<1% p95<400ms"),
        (["--canary", "5,100", "--every", "soon"], "duration"),
        ([], "--blue-green"),
        (["--canary", "5,100", "--version", "v7"], "no version v7"),
    ):
        status, said = fails(own, "deploy", folder, *words)
        assert (status in (1, 2, 3), hint in said) == (True, True), said
    assert "nothing that runs changed its code" in own.aic("deploy", folder, "--canary", "5,100")
    assert fails(own, "promote", "roll")[0] == 1
