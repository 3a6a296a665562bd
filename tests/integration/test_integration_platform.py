"""The product as a user has it: the command line, a daemon, a real Envoy, real processes, on a home of their own."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.loads import Load
from benchmarks.products import SHOP, Product, application, product
from tests.mesh.issuers import Issuer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SERVER = """\
import json, os, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status, body = 200, os.environ.get("SAYS", "hello")
        if self.path.startswith("/call?"):
            status, body = call(self.path.partition("?")[2])
        if self.path == "/env":
            body = json.dumps(dict(os.environ))
        raw = body.encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
def call(url):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": os.environ["MESH_PROXY_URL"]}))
        with opener.open(url, timeout=5) as answer: return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error: return error.code, error.read().decode()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Product]:
    with product() as made:
        yield made


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def app(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.py").write_text(SERVER)
    return application(folder, text)


def get(
    port: int, path: str = "/", *, host: str = "", method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Host": host} if host else {})
    payload = json.dumps(body) if body is not None else None
    connection.request(
        method, path, body=payload, headers=given | ({"content-type": "application/json"} if payload else {})
    )
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def fails(made: Product, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "AIC_HOME": str(made.home), "AIC_ISOLATED": "1", "AIC_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-m", "aiculturekit", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def marked(made: Product) -> list[int]:
    """Processes of this home, other than the daemon."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if "AIC_NODE" in environment and str(made.home) in environment.get("PATH", "") + environment.get(
            "VIRTUAL_ENV", ""
        ) + " ".join(process.cmdline()):
            found.append(process.pid)
    return found


def row(made: Product, name: str, version: str = "v1") -> dict[str, Any]:
    return next(r for r in made.status()["workloads"] if (r["name"], r["version"]) == (name, version))


def test_an_order_crosses_four_services_and_names_the_payment_version(shared: Product) -> None:
    shared.aic("up", "-d", str(SHOP))
    status = shared.status()
    assert {"daemon", "api", "console", "ingress", "envoy", "doors", "workloads"} <= set(status)
    assert {"app", "name", "kind", "version", "release", "replicas", "ready", "state", "pids", "restarts"} <= set(
        status["workloads"][0]
    )
    port = shared.ingress
    order = {"user_id": 1, "items": [{"sku": "tea", "quantity": 2}]}
    code, headers, text = get(port, "/api/orders", method="POST", body=order)
    assert (code, headers["x-version"] in ("v1", "v2")) == (201, True)
    placed = json.loads(text)
    assert (placed["total"], placed["status"]) == (2400, "paid")
    assert json.loads(get(port, f"/api/orders/{placed['id']}")[2])["id"] == placed["id"]
    versions = {get(port, "/api/orders", method="POST", body=order, x_beta="true")[1]["x-version"] for _ in range(10)}
    assert versions == {"v2"}
    assert "<title>The tea shop</title>" in get(port, "/")[2]
    assert get(port, "/api/orders", method="POST", body={"user_id": 99, "items": order["items"]})[0] == 404


def test_up_again_changes_nothing(shared: Product) -> None:
    shared.aic("up", "-d", str(SHOP))
    before = {r["name"]: r["pids"] for r in shared.status()["workloads"]}
    releases = json.loads(shared.aic("releases", "shop", "--json"))
    assert json.loads(shared.aic("plan", str(SHOP), "--json")) == []
    shared.aic("up", "-d", str(SHOP))
    assert {r["name"]: r["pids"] for r in shared.status()["workloads"]} == before
    assert json.loads(shared.aic("releases", "shop", "--json")) == releases


def test_every_json_view_and_every_table_prints(shared: Product) -> None:
    shared.aic("up", "-d", str(SHOP))
    for words in (
        ["ps"],
        ["ps", "shop"],
        ["status"],
        ["releases", "shop"],
        ["logs", "shop"],
        ["traffic", "shop/payment-service"],
        ["targets"],
        ["open"],
    ):
        assert shared.aic(*words).strip()
        json.loads(shared.aic(*words, "--json"))


def test_metrics_and_health_answer(shared: Product) -> None:
    shared.aic("up", "-d", str(SHOP))
    port = int(shared.status()["api"].rpartition(":")[2])
    assert [get(port, path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    text = get(port, "/metrics")[2]
    assert 'aic_workload_ready{app="shop",name="order-service",kind="service",version="v1"} 1' in text
    assert "\nenvoy_" in text
    assert get(port, "/api/v1/status")[0] == 401
    assert get(port, "/healthz", host="evil.example")[0] == 200
    assert get(port, "/metrics", host="evil.example")[0] == 401


def test_a_call_that_is_not_needed_is_refused_and_the_line_is_named(own: Product, tmp_path: Path) -> None:
    file = "app: wall\nservices:\n  web:\n    run: python server.py\n    public: /\n    needs: [near]\n  near: {run: python server.py}\n  far: {run: python server.py}\n"
    own.aic("up", "-d", str(app(tmp_path, file)))
    port = own.ingress
    assert get(port, "/call?http://near/")[0] == 200
    assert get(port, "/call?http://far/")[0] == 403
    api, token = own.status()["api"], (own.home / "token").read_text()
    deadline = time.monotonic() + 10
    refusals: list[dict[str, Any]] = []
    while not refusals and time.monotonic() < deadline:
        time.sleep(0.2)
        refusals = json.loads(get(int(api.rpartition(":")[2]), "/api/v1/refusals", authorization=f"Bearer {token}")[2])
    assert [(r["source"], r["target"], r["line"]) for r in refusals] == [("web", "far", 6)]
    assert "add `far` to services.web.needs" in refusals[0]["hint"]


GUARDED = """\
app: guarded
services:
  web:
    run: python server.py
    public: /
    needs:
      - {near: [GET /orders*]}
    access:
      jwt: {issuer: "https://issuer.example", audience: shop, jwks: keys.json, claims: {role: admin}, open: /call}
  near: {run: python server.py}
  far: {run: python server.py, access: {audit: true}}
"""


def test_tokens_operations_and_audit_work_as_the_file_says(own: Product, tmp_path: Path) -> None:
    issuer, later = Issuer(), Issuer()
    folder = app(tmp_path, GUARDED)
    (folder / "keys.json").write_text(issuer.jwks)
    own.aic("up", "-d", str(folder))
    port = own.ingress

    def ask(**claims: Any) -> int:
        return get(port, authorization=f"Bearer {issuer.token(**claims)}")[0]

    assert [ask(aud="shop", role="admin"), ask(aud="shop", role="user"), ask(aud="shop", lasts=-60)] == [200, 403, 401]
    code, headers, text = get(port)
    assert (
        code == 401
        and headers["www-authenticate"].startswith("Bearer")
        and "guarded/web asks for a valid token" in text
    )
    assert get(port, "/call?http://near/orders/7")[0] == 200
    code, _, text = get(port, "/call?http://near/secret")
    assert code == 403 and "`near: GET /secret`" in text
    assert get(port, "/call?http://far/")[0] == 200, "under audit"
    found = _refusals(own, {"token", "claims", "call"}, count=5)
    hints = {(r["source"], r["target"], r["kind"], r["allowed"], r["line"]): r["hint"] for r in found}
    assert "add `GET /secret` to the need `near` of services.web.needs" in hints["web", "near", "call", False, 6]
    assert "add `far` to services.web.needs" in hints["web", "far", "call", True, 6]
    assert ("ingress", "web", "claims", False, 9) in hints
    shown = own.aic("status")
    assert "allowed, because audit" in shown and "aic.yaml:6" in shown
    (folder / "keys.json").write_text(later.jwks)
    own.aic("up", "-d", str(folder))
    assert ask(aud="shop", role="admin") == 401, "the key was taken back"
    good = later.token(aud="shop", role="admin")
    assert get(port, authorization=f"Bearer {good}")[0] == 200


def _refusals(made: Product, kinds: set[str], *, count: int) -> list[dict[str, Any]]:
    """What is reported, as soon as it is all of these kinds and so many records."""
    api, token = made.status()["api"], (made.home / "token").read_text()
    deadline = time.monotonic() + 30
    while True:
        answer = get(int(api.rpartition(":")[2]), "/api/v1/refusals", authorization=f"Bearer {token}")[2]
        found: list[dict[str, Any]] = json.loads(answer)
        if {record["kind"] for record in found} >= kinds and len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_two_unlike_applications_share_the_machine(own: Product, tmp_path: Path) -> None:
    own.aic(
        "up",
        "-d",
        str(
            app(tmp_path / "one", "app: one\nservices:\n  web: {run: python server.py, public: /, env: {SAYS: one}}\n")
        ),
    )
    own.aic(
        "up",
        "-d",
        str(
            app(
                tmp_path / "two",
                "app: two\nservices:\n  web: {run: python server.py, public: /, env: {SAYS: two}}\njobs:\n  once: {run: echo done}\n",
            )
        ),
    )
    port = own.ingress
    assert get(port)[2] == "one"
    assert get(port, host=f"two.localhost:{port}")[2] == "two"
    own.aic("down", "one")
    assert get(port)[2] == "two"
    assert {r["app"] for r in own.status()["workloads"]} == {"two"}


def test_up_from_two_shells_at_once_is_one_application(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path, "app: twice\nservices:\n  web: {run: python server.py, public: /}\n")
    shells = [threading.Thread(target=own.aic, args=("up", "-d", str(folder))) for _ in range(3)]
    for shell in shells:
        shell.start()
    for shell in shells:
        shell.join()
    assert len(row(own, "web")["pids"]) == 1
    assert len(json.loads(own.aic("releases", "twice", "--json"))) == 1


def test_the_same_directory_in_two_homes_does_not_touch(own: Product, shared: Product, tmp_path: Path) -> None:
    folder = app(
        tmp_path,
        "app: both\nservices:\n  web: {run: python server.py, public: /}\nresources:\n  files: {type: volume}\n",
    )
    own.aic("up", "-d", str(folder))
    shared.aic("up", "-d", str(folder))
    pids = row(shared, "web")["pids"]
    own.aic("down", "both")
    assert row(shared, "web")["pids"] == pids
    shared.aic("down", "both")


def test_a_killed_daemon_leaves_everything_serving_and_the_next_takes_over(own: Product, tmp_path: Path) -> None:
    own.aic(
        "up", "-d", str(app(tmp_path, "app: stay\nservices:\n  web: {run: python server.py, public: /, scale: 2}\n"))
    )
    port, before, envoy = own.ingress, row(own, "web")["pids"], own.status()["envoy"]["pid"]
    os.kill(own.status()["daemon"]["pid"], signal.SIGKILL)
    assert get(port)[0] == 200
    own.aic("server", "start")
    after = own.status()
    assert (row(own, "web")["pids"], after["envoy"]["pid"]) == (before, envoy)
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 15
    while row(own, "web")["ready"] < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    pids = row(own, "web")["pids"]
    assert len(pids) == 2 and before[0] not in pids and before[1] in pids


def test_envoy_is_restarted_when_it_ends(own: Product, tmp_path: Path) -> None:
    own.aic("up", "-d", str(app(tmp_path, "app: phoenix\nservices:\n  web: {run: python server.py, public: /}\n")))
    port, envoy = own.ingress, own.status()["envoy"]["pid"]
    os.kill(envoy, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert get(port)[0] == 200
            break
        except OSError:
            time.sleep(0.1)
    assert own.status()["envoy"]["pid"] not in (envoy, None)


def test_a_revision_that_never_becomes_ready_is_undone_and_shows_its_last_lines(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path, "app: try\nservices:\n  web: {run: python server.py, public: /}\n")
    own.aic("up", "-d", str(folder))
    before = row(own, "web")["pids"]
    app(folder, 'app: try\nservices:\n  web: {run: "echo no such table; exit 3", public: /}\n')
    code, text = fails(own, "up", "-d", str(folder))
    assert (code, "no such table" in text, "exit code 3" in text) == (1, True, True)
    assert row(own, "web")["pids"] == before
    assert get(own.ingress)[0] == 200
    assert [r["state"] for r in json.loads(own.aic("releases", "try", "--json"))] == ["failed", "current"]
    app(folder, 'app: try\nservices:\n  web: {run: "no-such-program", public: /}\n')
    assert "not found" in fails(own, "up", "-d", str(folder))[1]


def test_rollback_runs_the_code_as_it_was(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path, "app: back\nservices:\n  web: {run: python server.py, public: /}\n")
    own.aic("up", "-d", str(folder))
    (folder / "server.py").write_text(SERVER.replace('"hello"', '"changed"'))
    own.aic("up", "-d", str(folder))
    assert get(own.ingress)[2] == "changed"
    own.aic("rollback", "back")
    assert get(own.ingress)[2] == "hello"
    assert [r["state"] for r in json.loads(own.aic("releases", "back", "--json"))] == [
        "current",
        "superseded",
        "superseded",
    ]


def test_a_protected_resource_survives_every_way_to_lose_it(own: Product, tmp_path: Path) -> None:
    text = "app: safe\nresources:\n  ledger: {type: sqlite}\nprotect: [resources/ledger]\n"
    folder = app(tmp_path, text)
    own.aic("up", "-d", str(folder))
    database = own.home / "data" / "safe" / "ledger" / "ledger.db"
    database.write_text("precious")
    for less in ("app: safe\n", "app: safe\nresources:\n  ledger: {type: volume}\n"):
        app(folder, less)
        code, said = fails(own, "up", "-d", str(folder))
        assert (code, "resources/ledger" in said) == (3, True)
    own.aic("down", "safe")
    app(folder, text)
    own.aic("up", "-d", str(folder))
    assert database.read_text() == "precious"


def test_what_the_target_cannot_do_is_refused_with_its_line_before_anything_is_touched(
    own: Product, tmp_path: Path
) -> None:
    folder = app(
        tmp_path,
        "app: later\nservices:\n  web: {run: python server.py, public: /}\ntopics:\n  orders: {}\nconfig:\n  flags: {values: {a: 1}}\n",
    )
    code, said = fails(own, "up", "-d", str(folder))
    assert code == 3
    assert "aic.yaml:5:3: topics.orders" in said and "aic.yaml:7:3: config.flags" in said
    assert own.status()["workloads"] == []


def test_a_job_runs_once_a_release_and_on_demand(own: Product, tmp_path: Path) -> None:
    text = "app: work\nresources:\n  out: {type: volume}\njobs:\n  note: {run: 'echo run >> \"${OUT_URL#file://}/runs\"', needs: [resources/out]}\n"
    folder = app(tmp_path, text)
    own.aic("up", "-d", str(folder))
    runs = own.home / "data" / "work" / "out" / "runs"
    assert runs.read_text() == "run\n"
    own.aic("up", "-d", str(folder))
    assert runs.read_text() == "run\n"
    own.aic("restart", "note", "--app", "work")
    assert runs.read_text() == "run\nrun\n"
    app(folder, "app: work\nresources:\n  out: {type: volume}\njobs:\n  note: {run: 'echo it broke; exit 9'}\n")
    code, said = fails(own, "up", "-d", str(folder))
    assert (code, "it broke" in said) == (1, True)


def test_a_shift_holds_until_the_file_says_something_new(own: Product, tmp_path: Path) -> None:
    text = "app: canary\nservices:\n  web:\n    run: python server.py\n    public: /\n    versions: {{v1: {{weight: {one}, env: {{SAYS: v1}}}}, v2: {{env: {{SAYS: v2}}}}}}\n"
    folder = app(tmp_path, text.format(one="90%"))
    own.aic("up", "-d", str(folder))
    own.aic("traffic", "web", "v2=100%", "--app", "canary")
    assert {get(own.ingress)[2] for _ in range(20)} == {"v2"}
    own.aic("up", "-d", str(folder))
    assert {get(own.ingress)[2] for _ in range(20)} == {"v2"}
    app(folder, text.format(one="100%"))
    own.aic("up", "-d", str(folder))
    assert {get(own.ingress)[2] for _ in range(20)} == {"v1"}
    assert fails(own, "traffic", "web", "v3=10%", "--app", "canary")[0] == 1
    assert fails(own, "traffic", "web", "v2=140%", "--app", "canary")[0] == 1
    assert fails(own, "traffic", "web", "much", "--app", "canary")[0] == 2


def test_scale_and_a_load_grow_and_keep_replicas(own: Product, tmp_path: Path) -> None:
    folder = app(
        tmp_path, "app: grow\nservices:\n  web: {run: python server.py, public: /, scale: {min: 1, max: 3, rps: 50}}\n"
    )
    own.aic("up", "-d", str(folder))
    with Load(own.ingress, rate=120).running(longest=40) as load:
        deadline = time.monotonic() + 30
        while row(own, "web")["ready"] < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert row(own, "web")["ready"] == 3
    assert load.failed == 0
    own.aic("scale", "web", "2", "--app", "grow")
    assert row(own, "web")["ready"] == 2


def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    import socket

    with product() as made, socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        environment = {
            **os.environ,
            "AIC_HOME": str(made.home),
            "AIC_INGRESS_PORT": str(number),
            "AIC_API_PORT": str(number),
        }
        environment.pop("AIC_ISOLATED", None)
        folder = app(tmp_path, "app: port\nservices:\n  web: {run: python server.py, public: /}\n")
        subprocess.run(
            [sys.executable, "-m", "aiculturekit", "up", "-d", str(folder)],
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert number not in (made.ingress, int(made.status()["api"].rpartition(":")[2]))
        assert get(made.ingress)[0] == 200


def test_a_home_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, said = fails(Product(blocked / "home"), "up", "-d", str(SHOP))
    assert (code, "can't be written" in said, "AIC_HOME" in said) == (1, True, True)


@pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="mounting a small disk needs root on Linux"
)
def test_a_full_disk_fails_plainly_and_what_runs_keeps_running(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], check=True)
    made = Product(disk / "home")
    try:
        folder = app(tmp_path / "app", "app: full\nservices:\n  web: {run: python server.py, public: /}\n")
        made.aic("up", "-d", str(folder))
        port = made.ingress
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
            except OSError:
                pass
        app(
            folder,
            "app: full\nservices:\n  web: {run: python server.py, public: /, env: {SAYS: new}}\n  more: {run: python server.py}\n",
        )
        code, said = fails(made, "up", "-d", str(folder))
        assert code == 1
        assert "space" in said.lower() or "disk" in said.lower(), said
        assert get(port)[0] == 200
        (disk / "filler").unlink()
        made.aic("up", "-d", str(folder))
        assert get(port)[2] == "new"
    finally:
        made.aic("server", "stop", check=False)
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_watch_restarts_only_what_was_touched(own: Product, tmp_path: Path) -> None:
    for name in ("one", "two"):
        app(tmp_path / name, "")
    folder = application(
        tmp_path,
        "app: eye\nservices:\n  one: {source: one, run: python server.py, public: /}\n  two: {source: two, run: python server.py}\n",
    )
    own.aic("up", "-d", "--watch", str(folder))
    one, two = row(own, "one")["pids"], row(own, "two")["pids"]
    time.sleep(0.5)
    (tmp_path / "one" / "server.py").write_text(SERVER.replace('"hello"', '"seen"'))
    deadline = time.monotonic() + 15
    while row(own, "one")["pids"] == one and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    assert (get(own.ingress)[2], row(own, "two")["pids"]) == ("seen", two)


def test_ctrl_c_takes_a_foreground_application_down(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path, "app: fore\nservices:\n  web: {run: python server.py, public: /}\n")
    environment = {
        **os.environ,
        "AIC_HOME": str(own.home),
        "AIC_ISOLATED": "1",
        "AIC_LANG": "en",
        "PYTHONUNBUFFERED": "1",
    }
    shell = subprocess.Popen(
        [sys.executable, "-m", "aiculturekit", "up", str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout is not None
    for line in shell.stdout:
        if "console" in line:
            break
    assert row(own, "web")["ready"] == 1
    time.sleep(0.3)
    shell.send_signal(signal.SIGINT)
    assert shell.wait(30) == 0
    assert own.status()["workloads"] == []


@pytest.mark.parametrize("ended", ["killed", "told to keep everything"])
def test_stopping_takes_down_what_an_ended_daemon_left(own: Product, tmp_path: Path, ended: str) -> None:
    folder = app(tmp_path, "app: left\nservices:\n  web: {run: python server.py, public: /}\n")
    own.aic("up", "-d", str(folder))
    port = own.ingress
    if ended == "killed":
        _kill_daemon(own)
    else:
        own.aic("server", "stop", "--keep")
    assert get(port)[0] == 200
    own.aic("server", "stop")
    assert marked(own) == []
    assert fails(own, "ps")[0] == 3
    assert "no daemon runs" in fails(own, "server", "stop")[1]


def test_random_interleavings_leave_no_orphan_and_state_that_equals_reality(tmp_path: Path) -> None:
    """The short twin of the property test on the fast target: real processes, a real daemon that is killed."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    with product() as made:
        folder = tmp_path / "app"
        marker = f"marker-{seed}"
        for turn in range(14):
            wish = {name: dice.randrange(3) for name in dice.sample(["a", "b", "c"], k=dice.randrange(1, 4))}
            app(folder, _file(wish, marker))
            verb = dice.choice(["up", "up", "kill", "down", "rollback", "kill replica", "kill both"])
            if verb == "kill":
                thread = threading.Thread(target=fails, args=(made, "up", "-d", str(folder)))
                thread.start()
                time.sleep(dice.random() * 0.6)
                _kill_daemon(made)
                thread.join()
            elif verb in ("kill replica", "kill both"):
                made.aic("server", "start")
                pids = [pid for r in made.status()["workloads"] for pid in r["pids"]]
                if verb == "kill both":
                    _kill_daemon(made)
                if pids:
                    os.kill(dice.choice(pids), signal.SIGKILL)
            else:
                fails(
                    made,
                    *{"up": ["up", "-d", str(folder)], "down": ["down", "chaos"], "rollback": ["rollback", "chaos"]}[
                        verb
                    ],
                )
            if turn % 3 == 2:
                made.aic("up", "-d", str(folder))
                rows = made.status()["workloads"]
                assert {r["name"]: r["state"] for r in rows} == dict.fromkeys([*wish, "db"], "ready"), (
                    f"seed {seed}, turn {turn}"
                )
                running = {pid for r in rows for pid in r["pids"]}
                assert running == set(_carrying(marker)), f"seed {seed}, turn {turn}"
        made.aic("server", "stop")
        assert _carrying(marker) == [], f"seed {seed}"


def _file(wish: dict[str, int], marker: str) -> str:
    lines = [
        f"  {name}: {{run: exec python server.py, env: {{SAYS: '{edit}', MARKER: {marker}}}}}"
        for name, edit in wish.items()
    ]
    return "\n".join(
        ["app: chaos", "services:", *lines, "resources:", "  db: {type: sqlite}", "protect: [resources/db]", ""]
    )


def _kill_daemon(made: Product) -> None:
    try:
        pid = json.loads((made.home / "daemon.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError):
        pass


def _carrying(marker: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"MARKER={marker}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
