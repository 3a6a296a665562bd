"""Network namespaces with the whole product: what a workload can reach, what reaches it, and what is left when things die."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aiculturekit import namespaces
from benchmarks.products import Product, application, product

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.skipif(namespaces.obstacle() is not None, reason=f"no network namespaces: {namespaces.obstacle()}"),
]

SERVER = """\
import json, os, socket, ssl, sys, urllib.error, urllib.parse, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
def fetch(url, proxy=""):
    handlers = [urllib.request.ProxyHandler({"http": proxy} if proxy else {}), urllib.request.HTTPSHandler(context=TRUST)]
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=5) as answer: return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error: return error.code, error.read().decode()
    except OSError as error: return 0, repr(getattr(error, "reason", error))
def dial(place):
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as one: return 1, one.recv(64).decode()
    except OSError as error: return 0, repr(error)
def greet(name, at):
    host, _, port = at.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as one:
            with TRUST.wrap_socket(one, server_hostname=name): return 1, "greeted"
    except OSError as error: return 0, repr(error)
def leave():
    try: os.open("/proc/1/ns/net", os.O_RDONLY)
    except OSError as error: return 0, repr(error)
    return 1, "found the way out"
ACTS = {"fetch": fetch, "dial": dial, "greet": greet, "leave": leave, "env": lambda name: (1, os.environ[name])}
TRUST = ssl.create_default_context(cafile=os.environ.get("CA_FILE"))
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path, _, rest = self.path.partition("?")
        act = path.rpartition("/")[2]
        found = ACTS[act](*urllib.parse.parse_qs(rest).get("a", [])) if act in ACTS else (200, os.environ["OTEL_SERVICE_NAME"])
        raw = json.dumps(found).encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
JOB = "import json, sys, server; print(json.dumps(server.dial(sys.argv[1])), json.dumps(server.fetch('http://back/')))"
FILE = """\
app: walls
services:
  front: {run: python server.py, public: /, needs: [back, "https://api.example.test", "https://*.wild.test", "tcp://echo.example.test:7007", "tcp://10.9.8.7:7007"], env: {CA_FILE: CA}}
  back: {run: python server.py}
  other: {run: python server.py, public: /other}
jobs:
  once: {run: "python job.py 127.0.0.1:PORT", needs: [back]}
"""


class World:
    """What lies outside, as far as this test goes: a TLS server and one that says its name, on the host's loopback."""

    def __init__(self, folder: Path) -> None:
        self.certificate = _certificate(folder, "api.example.test", "one.wild.test", "evil.example.test")
        self.https = self._tls_server()
        self.echo = socket.create_server(("127.0.0.1", 0))
        for serve in (self.https.serve_forever, self._say_hello):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def stand_ins(self) -> str:
        tls, echo = self.https.server_address[1], self.echo.getsockname()[1]
        places = {
            "https://api.example.test": tls,
            "https://*.wild.test": tls,
            "tcp://echo.example.test:7007": echo,
            "tcp://10.9.8.7:7007": echo,
        }
        return " ".join(f"{need}=127.0.0.1:{port}" for need, port in places.items())

    def close(self) -> None:
        self.https.shutdown()
        self.echo.close()

    def _tls_server(self) -> ThreadingHTTPServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Outside)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        return server

    def _say_hello(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.echo.accept()
                with connection:
                    connection.sendall(b"hello from outside")


class _Outside(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raw = b"from outside"
        self.send_response(200)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *values: object) -> None: ...


def _certificate(folder: Path, *names: str) -> Path:
    """A self-signed certificate and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "outside.pem"
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def walls(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("walls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIC_ISOLATION", "on")
        patch.setenv("AIC_STAND_INS", world.stand_ins)
        with product() as made:
            written(folder, world, made)
            made.aic("up", "-d", str(folder))
            yield made


def written(folder: Path, world: World, made: Product) -> None:
    made.aic("server", "start", check=False)
    (folder / "server.py").write_text(SERVER)
    (folder / "job.py").write_text(JOB)
    application(folder, FILE.replace("CA}", f"{world.certificate}}}").replace("PORT", "1"))


def ask(made: Product, act: str, *arguments: str, by: str = "") -> tuple[int, str]:
    """What a workload finds when it does it itself."""
    query = urllib.parse.urlencode([("a", argument) for argument in arguments])
    connection = http.client.HTTPConnection("127.0.0.1", made.ingress, timeout=30)
    connection.request("GET", f"{by}/{act}?{query}")
    code, text = json.loads(connection.getresponse().read())
    connection.close()
    return code, text


def until_refused(made: Product, target: str) -> str:
    """What the report of a refused call says would allow it."""
    deadline = time.monotonic() + 20
    api, token = made.status()["api"], (made.home / "token").read_text()
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", int(api.rpartition(":")[2]), timeout=10)
        connection.request("GET", "/api/v1/refusals", headers={"authorization": f"Bearer {token}"})
        found = json.loads(connection.getresponse().read())
        connection.close()
        for refusal in found:
            if refusal["target"] == target:
                return str(refusal["hint"])
        time.sleep(0.2)
    raise AssertionError(f"nothing was reported of {target}: {found}")


def is_open(port: int) -> bool:
    with socket.socket() as dialled:
        return dialled.connect_ex(("127.0.0.1", port)) == 0


def doors(made: Product) -> set[Path]:
    return set((made.home / "run" / "netns").iterdir())


def mounts(made: Product) -> int:
    return Path("/proc/self/mountinfo").read_text().count(str(made.home))


def processes_in(door: Path) -> int:
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sum(namespaces.is_inside(pid, door) for pid in found)


def test_status_says_so(walls: Product) -> None:
    status = walls.status()
    assert (status["isolation"], status["isolation_reason"]) == ("network-namespaces", "")
    assert "network namespaces" in walls.aic("status")


def test_what_is_needed_is_called_by_its_name_alone(walls: Product) -> None:
    assert ask(walls, "fetch", "http://back/") == (200, '[200, "back"]')
    assert ask(walls, "fetch", "http://back.walls:80/") == (200, '[200, "back"]')
    assert ask(walls, "fetch", ask(walls, "env", "BACK_URL")[1]) == (200, '[200, "back"]')


def test_nobody_goes_round_the_mesh(walls: Product) -> None:
    front, other = (int(ask(walls, "env", "PORT", by=by)[1]) for by in ("", "/other"))
    assert not is_open(front) and not is_open(other), "from the host"
    for door in (front, other):
        namespaces.inside(next(d for d in doors(walls) if "~back~" in d.name), lambda at=door: _refused(at))  # type: ignore[misc]
    assert ask(walls, "dial", f"127.0.0.1:{other}")[0] == 0, "from another workload"
    proxy = int(ask(walls, "env", "MESH_PROXY_URL", by="/other")[1].rpartition(":")[2])
    assert not is_open(proxy), "nor borrows another's identity"
    assert ask(walls, "leave")[0] == 0


def _refused(port: int) -> None:
    assert not is_open(port)


def test_who_is_not_needed_does_not_resolve_and_is_refused_at_the_proxy(walls: Product) -> None:
    code, said = ask(walls, "fetch", "http://other/")
    assert (code, "gaierror" in said) == (0, True), said
    assert "add `other` to services.front.needs" in until_refused(walls, "other")
    proxy = ask(walls, "env", "MESH_PROXY_URL")[1]
    assert ask(walls, "fetch", "http://other/", proxy)[0] == 403


def test_outside_there_is_nothing(walls: Product) -> None:
    """There is no route to leave by: nothing of this is sent anywhere."""
    began = time.monotonic()
    for place in ("1.1.1.1:443", "169.254.169.254:80", "192.0.2.1:80", f"127.0.0.1:{walls.ingress}"):
        assert ask(walls, "dial", place)[0] == 0, place
    code, said = ask(walls, "fetch", "https://evil.example.test/")
    assert (code, "gaierror" in said) == (0, True), said
    assert time.monotonic() - began < 10, "it fails at once, not by waiting"
    assert "add `https://evil.example.test` to services.front.needs" in until_refused(
        walls, "https://evil.example.test"
    )


def test_what_is_declared_passes_by_its_name(walls: Product) -> None:
    assert ask(walls, "fetch", "https://api.example.test/") == (200, "from outside")
    assert ask(walls, "fetch", "https://one.wild.test/") == (200, "from outside")
    assert ask(walls, "dial", "echo.example.test:7007") == (1, "hello from outside")
    assert ask(walls, "dial", "10.9.8.7:7007") == (1, "hello from outside")
    assert ask(walls, "dial", "10.9.8.8:7007")[0] == 0
    code, said = ask(walls, "fetch", "https://api.example.test/", by="/other")
    assert (code, "gaierror" in said) == (0, True), "it is another's need"


def test_another_name_through_a_declared_door_is_refused_and_reported(walls: Product) -> None:
    assert ask(walls, "greet", "api.example.test", "api.example.test:443")[0] == 1
    code, said = ask(walls, "greet", "smuggled.example.test", "api.example.test:443")
    assert (code, "Error" in said) == (0, True), said
    assert "https://smuggled.example.test" in until_refused(walls, "https://smuggled.example.test")


def test_jobs_live_behind_walls_too(walls: Product) -> None:
    said = walls.aic("logs", "walls", "once")
    assert '[0, "ConnectionRefusedError' in said, said
    assert '[200, "[200, \\"back\\"]"]' in said, said


def test_a_restart_keeps_the_room(walls: Product) -> None:
    before = doors(walls)
    walls.aic("restart", "back", "--app", "walls")
    assert doors(walls) == before
    assert ask(walls, "fetch", "http://back/")[0] == 200


def test_the_daemon_and_envoy_die_and_everything_goes_on(walls: Product) -> None:
    before = walls.status()
    rooms, pids = doors(walls), {row["name"]: row["pids"] for row in before["workloads"] if row["kind"] == "service"}
    os.kill(before["daemon"]["pid"], signal.SIGKILL)
    assert ask_past(walls, before["ingress"]) == 200, "without a daemon"
    walls.aic("server", "start")
    after = walls.status()
    assert {row["name"]: row["pids"] for row in after["workloads"] if row["kind"] == "service"} == pids
    assert doors(walls) == rooms
    os.kill(after["envoy"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while ask_past(walls, before["ingress"]) != 200:
        assert time.monotonic() < deadline, "Envoy did not come back"
        time.sleep(0.1)
    assert ask(walls, "fetch", "http://back/")[0] == 200
    assert ask(walls, "fetch", "https://api.example.test/")[0] == 200


def ask_past(made: Product, ingress: str) -> int:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", int(ingress.rpartition(":")[2]), timeout=10)
        connection.request("GET", "/")
        return connection.getresponse().status
    return 0


def test_a_workload_that_leaves_and_returns_gets_a_new_room(
    walls: Product, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At once: its old listeners still drain in the old one."""
    [old] = [door for door in doors(walls) if "~front~" in door.name]
    folder = tmp_path_factory.getbasetemp() / "walls0"
    walls.aic("down", "walls")
    assert doors(walls) == set()
    walls.aic("up", "-d", str(folder))
    [new] = [door for door in doors(walls) if "~front~" in door.name]
    assert new != old
    assert ask(walls, "fetch", "http://back/")[0] == 200


def test_the_machine_restarts(walls: Product) -> None:
    """All processes are gone and with them the namespaces; only the files are left."""
    status = walls.status()
    rooms = doors(walls)
    for pid in (status["daemon"]["pid"], status["envoy"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    for pid in [pid for row in status["workloads"] for pid in row["pids"]]:
        os.kill(pid, signal.SIGKILL)
    for door in rooms:
        namespaces.remove(door)
        door.touch()
    walls.aic("server", "start")
    deadline = time.monotonic() + 60
    while ask_past(walls, status["ingress"]) != 200:
        assert time.monotonic() < deadline, "the applications did not come back"
        time.sleep(0.2)
    assert ask(walls, "fetch", "http://back/")[0] == 200


def test_stopping_leaves_nothing(walls: Product) -> None:
    assert mounts(walls) > 0
    rooms = doors(walls)
    walls.aic("server", "stop")
    assert mounts(walls) == 0
    assert [door for door in rooms if door.exists()] == []
    assert list((walls.home / "run" / "etc").iterdir()) == []


def test_turned_off_what_was_isolated_moves_to_the_shared_loopback(world: World, tmp_path: Path) -> None:
    with product() as made:
        made.set(AIC_ISOLATION="on")
        written(tmp_path, world, made)
        made.aic("up", "-d", str(tmp_path))
        assert mounts(made) > 0
        os.kill(made.status()["daemon"]["pid"], signal.SIGKILL)
        made.set(AIC_ISOLATION="off")
        made.aic("server", "start")
        made.aic("up", "-d", str(tmp_path))
        status = made.status()
        assert status["isolation"] == "shared-loopback" and "AIC_ISOLATION" in status["isolation_reason"]
        assert ask(made, "fetch", ask(made, "env", "BACK_URL")[1]) == (200, '[200, "back"]')
        assert mounts(made) == 0
