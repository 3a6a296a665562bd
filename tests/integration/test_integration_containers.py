"""Images that run here: the shop as `aic build` makes it, from a real registry, in containers on the mesh; and what is left when things die."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from aiculturekit import namespaces
from aiculturekit.engine import containers, limits
from benchmarks.products import SHOP, Product, application, product
from tests.images import bases
from tests.servers import distributions as servers
from tests.servers import needs, podmans

_OBSTACLE = namespaces.obstacle() or containers.obstacle() or servers.MISSING or bases.missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(_OBSTACLE), reason=f"no containers: {_OBSTACLE}"),
]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("containers")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[str]:
    with servers.running(folder / "registry") as served:
        yield served.address


@pytest.fixture(scope="module")
def python(folder: Path) -> str:
    return bases.layout(folder / "python")


@pytest.fixture(scope="module")
def walls() -> Iterator[Product]:
    with product() as made:
        made.set(AIC_ISOLATION="on")
        yield made


@pytest.fixture(scope="module")
def shop(folder: Path, registry: str, python: str, walls: Product) -> Product:
    """The shop from its images alone: no line of its code is on the way that the daemon takes."""
    shutil.copytree(SHOP, folder / "code", ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    file: dict[str, Any] = yaml.safe_load((SHOP / "aic.yaml").read_text())
    del file["environments"]
    for service in file["services"].values():
        service["base"] = python
    application(folder / "code", yaml.safe_dump(file))
    built = json.loads(walls.aic("build", str(folder / "code"), "--push", f"{registry}/team", "--json"))
    images = {image["workload"]: image["reference"] for image in built}
    application(folder / "shop", yaml.safe_dump(_imaged(file, images)))
    walls.aic("up", "-d", str(folder / "shop"))
    return walls


def _imaged(file: dict[str, Any], images: dict[str, str]) -> dict[str, Any]:
    for name, service in file["services"].items():
        for key in ("source", "run", "base"):
            service.pop(key)
        for version, detail in (service.get("versions") or {"v1": service}).items():
            detail.pop("source", None)
            detail["image"] = images[f"{name}/{version}"]
    return file


def ask(
    made: Product, path: str = "/", *, method: str = "GET", body: Any = None, raw: str | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", made.ingress, timeout=30)
    payload = json.dumps(body) if body is not None else raw
    connection.request(method, path, body=payload, headers={"content-type": "application/json"} if payload else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def until(call: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException, psutil.Error):
            if call():
                return
        time.sleep(0.2)
    raise AssertionError(what)


def pids(made: Product, name: str) -> list[int]:
    """Those of the engine: crun's."""
    return sorted(pid for row in made.status()["workloads"] if row["name"] == name for pid in row["pids"])


def contained(made: Product, name: str) -> int:
    """The first process of the workload's container."""
    [first] = psutil.Process(pids(made, name)[0]).children()
    return first.pid


def said(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_shop_sells_from_its_images(shop: Product) -> None:
    assert ask(shop, "/")[0] == 200
    code, text = ask(shop, "/api/products")
    assert code == 200, text
    order = {"user_id": 1, "items": [{"sku": json.loads(text)[0]["sku"], "quantity": 2}]}
    code, text = ask(shop, "/api/orders", method="POST", body=order)
    assert code in (200, 201), text


def test_what_runs_may_do_next_to_nothing(shop: Product) -> None:
    first = contained(shop, "notification")
    status = said(first)
    assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    [door] = (shop.home / "run" / "netns").glob("*~notification~*")
    assert namespaces.is_inside(first, door)
    mounts = [line.split() for line in Path(f"/proc/{first}/mountinfo").read_text().splitlines()]
    assert next(words for words in mounts if words[4] == "/")[5].startswith("ro")
    assert {words[4] for words in mounts if str(shop.home) in words[3]} <= {
        "/",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/nsswitch.conf",
    }


def inside(made: Product, name: str, code: str) -> str:
    """What Python code prints, run by hand in the workload's container."""
    [folder] = [one for one in (made.home / "run" / "crun").iterdir() if one.name.startswith(f"{name}-")]
    words = [
        "crun",
        "--root",
        str(folder.parent),
        "--cgroup-manager=disabled",
        "exec",
        folder.name,
        "/opt/venv/bin/python",
        "-c",
        code,
    ]
    hidden = 'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hidden, "-", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_there_is_no_way_out_of_it_and_none_round_the_mesh(shop: Product) -> None:
    for call in ("unshare(0x10000000)", "ptrace(0)", "mount(None, b'/tmp', None, 4096, None)", "socket(38, 5, 0)"):
        code = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.{call}, ctypes.get_errno())"
        assert inside(shop, "notification", code).split() == ["-1", "1"], call
    fetch = "import urllib.request as r; print(r.urlopen('{0}', timeout=5).status)"
    assert "200" in inside(shop, "order-service", fetch.format("http://payment-service/healthz"))
    for place in ("http://payment-service/healthz", f"http://127.0.0.1:{shop.ingress}/", "http://192.0.2.1/"):
        assert "URLError" in inside(shop, "notification", fetch.format(place)), place
    assert "Read-only file system" in inside(shop, "notification", "open('/app/x', 'w')")
    assert inside(shop, "notification", "open('/tmp/x', 'w').write('x'); print('written')").strip() == "written"


def test_a_container_that_is_killed_comes_back(shop: Product) -> None:
    for victim in (contained, lambda made, name: pids(made, name)[0]):
        old, crun = contained(shop, "notification"), pids(shop, "notification")
        os.kill(victim(shop, "notification"), signal.SIGKILL)
        until(lambda crun=crun: pids(shop, "notification") not in (crun, []), "it was not started again")  # type: ignore[misc]
        until(lambda old=old: not psutil.pid_exists(old), "the old one still runs")  # type: ignore[misc]
        until(lambda: contained(shop, "notification") > 0, "nothing runs in it")
    until(lambda: ask(shop, "/api/products")[0] == 200, "the shop did not recover")


def test_the_daemon_dies_and_the_next_one_takes_them_over(shop: Product) -> None:
    names = ("api-gateway", "user-service", "order-service", "payment-service", "notification")
    before = {name: pids(shop, name) for name in names}
    inner = {name: contained(shop, name) for name in names}
    os.kill(shop.status()["daemon"]["pid"], signal.SIGKILL)
    shop.aic("server", "start")
    assert {name: pids(shop, name) for name in names} == before
    assert {name: contained(shop, name) for name in names} == inner
    assert ask(shop, "/api/products")[0] == 200


def test_what_an_image_prints_is_its_log(shop: Product) -> None:
    assert "Uvicorn running" in shop.aic("logs", "shop", "notification")


def left(made: Product) -> dict[str, list[str]]:
    """What of this home is still there."""
    home = str(made.home)
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{home}/" in line]
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"{home}/run/crun" in " ".join(process.cmdline()):
                processes.append(str(process))
    folders = [str(one) for name in ("crun", "containers") for one in (made.home / "run" / name).glob("*")]
    return {"mounts": mounts, "processes": processes, "folders": folders}


SMALL = """\
import json, os, signal, sqlite3, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
def count():
    with sqlite3.connect(os.environ["NOTES_URL"].removeprefix("sqlite:///")) as notes:
        notes.execute("CREATE TABLE IF NOT EXISTS visits (at REAL)")
        notes.execute("INSERT INTO visits VALUES (1)")
        return notes.execute("SELECT count(*) FROM visits").fetchone()[0]
def eat(): return len(bytearray(200 << 20))
def env(): return {name: os.environ.get(name) for name in ("HOME", "PORT", "SHELL", "USER", "SAYS", "AIC_HOME")}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        raw = json.dumps({"/eat": eat, "/env": env}.get(self.path.removeprefix("/small"), count)()).encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
def leave(number, frame):
    print("asked to stop by", number, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open("/tmp/well", "w").close()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def small(folder: Path, made: Product, registry: str, python: str) -> Path:
    """An application of one image with data of its own, a probe that runs in it, and a bound of memory."""
    code = folder / "small-code"
    code.mkdir()
    (code / "server.py").write_text(SMALL)
    application(
        code, yaml.safe_dump({"app": "small", "services": {"web": {"run": "python3 server.py", "base": python}}})
    )
    [built] = json.loads(made.aic("build", str(code), "--push", f"{registry}/team", "--json"))
    service = {
        "image": built["reference"],
        "public": "/small",
        "needs": ["resources/notes"],
        "health": {"exec": "test -f /tmp/well", "every": "1s"},
        "env": {"SAYS": "hello"},
        "resources": {"memory": "96Mi"},
    }
    file = {"app": "small", "services": {"web": service}, "resources": {"notes": {"type": "sqlite"}}}
    return application(folder / "small", yaml.safe_dump(file))


def test_an_image_has_its_data_its_probe_its_bounds_and_a_graceful_end(
    folder: Path, walls: Product, registry: str, python: str
) -> None:
    walls.aic("up", "-d", str(small(folder, walls, registry, python)))
    assert ask(walls, "/small") == (200, "1") and ask(walls, "/small") == (200, "2")
    found = json.loads(ask(walls, "/small/env")[1])
    assert 20000 <= int(found.pop("PORT")) < 30000
    assert found == {"HOME": "/tmp", "SHELL": None, "USER": None, "SAYS": "hello", "AIC_HOME": None}, (
        "nothing of the machine's"
    )
    if limits.is_enforced():
        before = pids(walls, "web")
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert ask(walls, "/small/eat")[0] >= 500
        until(lambda: pids(walls, "web") not in (before, []), "it was not ended for its memory")
        until(lambda: ask(walls, "/small") == (200, "3"), "its data did not outlive it")
    walls.aic("restart", "web", "--app", "small")
    until(lambda: ask(walls, "/small")[0] == 200, "it did not come back")
    assert "asked to stop by 15" in walls.aic("logs", "small", "web")
    walls.aic("down", "small")


def test_an_image_that_is_not_there_is_said_before_anything_changes(
    folder: Path, walls: Product, registry: str
) -> None:
    file = {"app": "gone", "services": {"web": {"image": f"{registry}/team/gone:v1"}}}
    done = walls.run("up", "-d", str(application(folder / "gone", yaml.safe_dump(file))))
    assert done.returncode != 0 and "has no team/gone/manifests/v1" in done.stdout + done.stderr


@pytest.fixture
def engine() -> Iterator[podmans.Served]:
    needs.need(podmans.MISSING)
    with podmans.running() as made:
        yield made


@pytest.fixture
def beside(engine: podmans.Served) -> Iterator[Product]:
    """A machine on which that engine answers."""
    with product() as made:
        made.set(AIC_ISOLATION="on", DOCKER_HOST=f"unix://{engine.place}")
        yield made


def test_an_image_that_only_an_engine_of_this_machine_has_runs_as_any_other(
    folder: Path, beside: Product, engine: podmans.Served, python: str
) -> None:
    """It is taken over once, and then needs neither the engine nor a registry."""
    code = folder / "kept-code"
    code.mkdir()
    (code / "server.py").write_text(SMALL)
    application(
        code, yaml.safe_dump({"app": "kept", "services": {"web": {"run": "python3 server.py", "base": python}}})
    )
    beside.aic("build", str(code), "-o", str(folder / "kept.tar"))
    assert "kept-web" in engine.load(folder / "kept.tar")
    service = {"image": "docker-daemon:kept-web:latest", "public": "/small", "needs": ["resources/notes"]}
    file = {"app": "kept", "services": {"web": service}, "resources": {"notes": {"type": "sqlite"}}}
    place = application(folder / "kept", yaml.safe_dump(file))
    beside.aic("up", "-d", str(place))
    assert ask(beside, "/small") == (200, "1")
    assert said(contained(beside, "web"))["Uid"].split() == ["65532"] * 4
    application(place, yaml.safe_dump({**file, "services": {"web": service | {"image": "docker-daemon:not-here:v1"}}}))
    done = beside.run("up", "-d", str(place))
    assert done.returncode != 0 and "has no image not-here:v1" in done.stdout + done.stderr
    assert ask(beside, "/small") == (200, "2")
    beside.aic("down", "kept")


def test_down_leaves_nothing(shop: Product) -> None:
    inner = [contained(shop, name) for name in ("api-gateway", "order-service")]
    shop.aic("down", "shop")
    assert left(shop) == {"mounts": [], "processes": [], "folders": []}
    assert not any(psutil.pid_exists(pid) for pid in inner)
    groups = [path for path in Path("/sys/fs/cgroup").glob("*/aic-*/*") if "notification-v1" in path.name]
    assert groups == []
