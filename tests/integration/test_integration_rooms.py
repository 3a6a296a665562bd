"""What people run, where it has a network of its own, which is the usual for root: ways to listen, tcp, probes, jobs, debugging, other homes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit import namespaces
from benchmarks.products import Product, application, product

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.skipif(namespaces.obstacle() is not None, reason=f"no network namespaces: {namespaces.obstacle()}"),
]

WEB = """\
import os, socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
host = sys.argv[1]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        raw = os.environ["OTEL_SERVICE_NAME"].encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
Server((host, int(os.environ["PORT"])), Handler).serve_forever()
"""
TCP = """\
import os, socket, threading
def echo(one):
    with one:
        while chunk := one.recv(1000): one.sendall(b"store:" + chunk)
places = [socket.create_server(("127.0.0.1", int(os.environ["PORT"]))), socket.create_server(("127.0.0.1", 5678))]
def serve(place):
    while True: threading.Thread(target=echo, args=(place.accept()[0],), daemon=True).start()
threading.Thread(target=serve, args=(places[1],), daemon=True).start()
serve(places[0])
"""
NODE = "require('http').createServer((_, answer) => answer.end('node')).listen(process.env.PORT, 'localhost')"
FILE = """\
app: many
services:
  every: {run: "python web.py 0.0.0.0", public: /every, needs: [store], health: {exec: "python probe.py"}}
  both: {run: "python web.py ::", public: /both, health: /}
  store: {run: python store.py, protocol: tcp}
  byname: {run: "BYNAME", public: /byname, health: /}
jobs:
  once: {run: "python -c 'import socket; print(socket.gethostbyname(socket.gethostname()), socket.gethostbyname(str(\\"localhost\\")))'"}
"""
PROBE = "import os, urllib.request; urllib.request.urlopen(f'http://localhost:{os.environ[\"PORT\"]}', timeout=2)"
TALK = """\
import os, socket, urllib.parse
at = urllib.parse.urlsplit(os.environ["STORE_URL"])
with socket.create_connection((at.hostname, at.port), timeout=10) as one:
    one.sendall(b"hello"); print(one.recv(100).decode())
"""
LOOK = """\
import os, socket, sys, urllib.error, urllib.request
own = {int(os.environ["PORT"]), int(os.environ["MESH_PROXY_URL"].rpartition(":")[2])}
print([port for port in range(20000, 30000) if port not in own and socket.socket().connect_ex(("127.0.0.1", port)) == 0])
try: print(socket.gethostbyname("store"))
except OSError: print("unknown")
proxied = urllib.request.build_opener(urllib.request.ProxyHandler({"http": os.environ["MESH_PROXY_URL"]}))
try: print(proxied.open("http://store/", timeout=10).status)
except urllib.error.HTTPError as error: print(error.code)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Nothing is asked for: it is the usual."""
    with pytest.MonkeyPatch.context() as patch, product() as made:
        patch.delenv("AIC_ISOLATION", raising=False)
        folder = tmp_path_factory.mktemp("many")
        for name, text in (("web.py", WEB), ("store.py", TCP), ("node.js", NODE), ("probe.py", PROBE)):
            (folder / name).write_text(text)
        application(
            folder, FILE.replace("BYNAME", "node node.js" if shutil.which("node") else "python web.py localhost")
        )
        made.aic("up", "-d", str(folder))
        yield made


def get(made: Product, path: str) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", made.ingress, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def inside(made: Product, workload: str, code: str) -> str:
    return made.aic("exec", workload, "--app", "many", "--", sys.executable, "-c", code)


def pid_of(made: Product, name: str) -> int:
    [row] = [row for row in made.status()["workloads"] if row["name"] == name]
    return int(row["pids"][0])


def mounts_under(folder: Path) -> int:
    return Path("/proc/self/mountinfo").read_text().count(str(folder))


def test_it_is_the_usual(many: Product) -> None:
    assert many.status()["isolation"] == "network-namespaces"
    assert "network namespaces" in (many.home / "daemon.log").read_text()
    found = {one["name"]: one for one in json.loads(many.aic("doctor", "--json", check=False))}
    assert found["isolation"]["state"] == "ok"


def test_however_it_listens_it_is_reached(many: Product) -> None:
    assert get(many, "/every") == (200, "every")
    assert get(many, "/both") == (200, "both")
    assert get(many, "/byname")[0] == 200


def test_a_job_knows_its_own_name(many: Product) -> None:
    assert "127.0.0.1 127.0.0.1" in many.aic("logs", "many", "once")


def test_tcp_is_reached_by_who_needs_it(many: Product) -> None:
    """Both ways through: out of one room, by the two sides of the mesh, into another."""
    assert inside(many, "every", TALK).strip() == "store:hello"


def test_who_does_not_need_it_finds_no_way_to_it(many: Product) -> None:
    open_ports, name, code = inside(many, "both", LOOK).split("\n")[:3]
    assert (open_ports, name) == ("[]", "unknown")
    assert int(code) >= 400, "its forward proxy leads to the refusal alone"


def test_a_tcp_callee_asks_for_an_identity_also_of_the_machine(many: Product) -> None:
    ports = json.loads((many.home / "mesh" / "lds.json").read_text())["resources"]
    [door] = [one for one in ports if one["name"] == "in/many/store/v1"]
    port = door["address"]["socket_address"]["port_value"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(b"hello")
        with contextlib.suppress(ConnectionError):
            assert b"store" not in one.recv(100)


def test_exec_runs_where_the_workload_lives(many: Product) -> None:
    assert inside(many, "store", "import os; print(os.environ['OTEL_SERVICE_NAME'], 'AIC_NODE' in os.environ)") == (
        "store False\n"
    )
    assert "1: lo" in inside(many, "store", "import socket; print('1: lo', socket.if_nameindex())")
    assert inside(many, "store", "import socket; print(len(socket.if_nameindex()))").strip() == "1"
    with pytest.raises(RuntimeError, match="ended with 7"):
        inside(many, "store", "raise SystemExit(7)")
    with pytest.raises(RuntimeError, match="no process of many/nobody runs"):
        many.aic("exec", "nobody", "--app", "many", "--", "true")


def test_forward_leads_to_a_debuggers_port_and_survives_a_restart(many: Product) -> None:
    environment = {**os.environ, "AIC_HOME": str(many.home), "AIC_LANG": "en"}
    command = [sys.executable, "-m", "aiculturekit", "forward", "store", "5678", "--local", "0", "--app", "many"]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            port = int(running.stdout.readline().split()[0].rpartition(":")[2])
            assert through(port) == b"store:debug"
            many.aic("restart", "every", "--app", "many")
            assert through(port) == b"store:debug"
        finally:
            running.send_signal(signal.SIGINT)
    assert running.returncode == 130
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", 5678), timeout=5):
        pass


def through(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(b"debug")
        return one.recv(100)


def test_who_dials_what_it_does_not_need_is_told_what_to_write(many: Product, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import socket; socket.create_connection(('localhost', 5432))")
    application(tmp_path, "app: lost\nservices: {web: {run: python app.py}}\n")
    with pytest.raises(RuntimeError, match=r"needs: \[tcp://localhost:5432\]"):
        many.aic("up", "-d", str(tmp_path))


def test_an_address_in_a_variable_that_is_not_needed_is_shown(many: Product, tmp_path: Path) -> None:
    """Such a workload is well until somebody asks it for something."""
    (tmp_path / "web.py").write_text(WEB)
    text = 'app: lazy\nservices: {web: {run: python web.py 127.0.0.1, env: {DATABASE: "postgres://localhost/x"}}}\n'
    application(tmp_path, text)
    assert "add tcp://localhost:5432 to its needs" in many.aic("up", "-d", str(tmp_path))
    application(tmp_path, text.replace("env:", "needs: ['tcp://localhost:5432'], env:"))
    assert "localhost:5432" not in many.aic("up", "-d", str(tmp_path))


def test_two_homes_do_not_meet(many: Product, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(WEB)
    application(tmp_path, "app: many\nservices: {every: {run: python web.py 127.0.0.1, public: /every}}\n")
    with product() as other:
        other.aic("up", "-d", str(tmp_path))
        nets = {Path(f"/proc/{pid_of(one, 'every')}/ns/net").stat().st_ino for one in (many, other)}
        assert len(nets) == 2
        assert get(other, "/every") == get(many, "/every") == (200, "every")
    assert get(many, "/every") == (200, "every"), "the other's end changed nothing here"


def test_a_daemon_that_was_killed_leaves_nothing_once_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(WEB)
    application(tmp_path, "app: gone\nservices: {web: {run: python web.py 127.0.0.1}}\n")
    with product() as made:
        made.aic("up", "-d", str(tmp_path))
        status = made.status()
        for pid in (status["daemon"]["pid"], status["envoy"]["pid"]):
            os.kill(pid, signal.SIGKILL)
        assert mounts_under(made.home) > 0
        made.aic("server", "stop")
        assert mounts_under(made.home) == 0


@pytest.mark.parametrize("isolation", ["auto", "off"])
def test_a_port_that_was_taken_while_nobody_ran_is_given_up(tmp_path: Path, isolation: str) -> None:
    """The callee's own side with namespaces, where that is what others can take; on a shared loopback a caller's door."""
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "probe.py").write_text(PROBE)
    text = "app: moved\nservices: {web: {run: python web.py 127.0.0.1, public: /, needs: [back]}, back: {run: python web.py 127.0.0.1}}\n"
    application(tmp_path, text)
    with product() as made:
        made.set(AIC_ISOLATION=isolation)
        made.aic("up", "-d", str(tmp_path))
        status = made.status()
        name = "in/moved/back/v1" if isolation == "auto" else "need/moved/web/back"
        port = listener_port(made, name)
        for pid in (status["daemon"]["pid"], status["envoy"]["pid"]):
            os.kill(pid, signal.SIGKILL)
        with taken(port):
            made.aic("server", "start")
            until(lambda: calls_back(made))
            assert listener_port(made, name) != port
            assert get(made, "/") == (200, "web")


def calls_back(made: Product) -> bool:
    """Whether a process of web, with what it was told, reaches the other one."""
    code = "import os, urllib.request; print(urllib.request.urlopen(os.environ['BACK_URL'], timeout=2).read())"
    return "b'back'" in made.aic("exec", "web", "--app", "moved", "--", sys.executable, "-c", code, check=False)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def listener_port(made: Product, name: str) -> int:
    found: list[dict[str, Any]] = json.loads((made.home / "mesh" / "lds.json").read_text())["resources"]
    [listener] = [one for one in found if one["name"] == name]
    return int(listener["address"]["socket_address"]["port_value"])


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Another program listens there, as soon as it can."""
    with contextlib.ExitStack() as stack:
        until(lambda: _takes(stack, port))
        yield


def _takes(stack: contextlib.ExitStack, port: int) -> bool:
    try:
        stack.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True
