"""No password is anywhere but in the workloads' own environments and in files that their owner alone may read, whatever was done."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiculturekit.resources.backends.mysql import engines
from benchmarks.products import Product, application, product
from tests.integration.test_integration_looks import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
TYPES = ("postgres", "redis", "s3", "nats", "smtp", "custom", *(["mysql"] if engines.installed() else []))
SERVE = f"exec {sys.executable} -m http.server --bind 127.0.0.1 $PORT"
OUTSIDE = "the-password-of-a-server-elsewhere"
BROKEN = "a-password-in-a-broken-url"
_KEYS = re.compile(r'"(?:password|secretKey)": ?"([^"]+)"|^(?:password|key) ?= ?"?([^"\n]+)"?$', re.MULTILINE)
_LINK = re.compile(r'href="(/[^"#]*)"')
PAGES = 60


def text(*, more: str = "", run: str = SERVE) -> str:
    resources = {f"my-{kind}": {"type": kind} | ({"run": SERVE} if kind == "custom" else {}) for kind in TYPES}
    service = {
        "run": run,
        "public": "/",
        "migrate": "echo migrated",
        "needs": [f"resources/{name}" for name in resources],
    }
    lines = "".join(f"  {name}: {json.dumps(body)}\n" for name, body in resources.items())
    return f"app: all\nservices:\n  web: {json.dumps(service)}\nresources:\n{lines}{more}"


class Watch:
    """The command lines of all processes that there ever were meanwhile, as often as they can be read."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))


def passwords(made: Product) -> set[str]:
    """All that are known to the platform and its servers now."""
    with sqlite3.connect(f"file:{made.home / 'state.db'}?mode=ro", uri=True) as database:
        found = {row[0] for row in database.execute("SELECT password FROM credentials")}
    for file in files(made):
        if file.name.endswith((".json", ".toml", ".cnf", ".key")) and "my-" in str(file):
            raw = file.read_text("utf-8", "replace")
            found |= {one or other for one, other in _KEYS.findall(raw)}
            found |= {raw.strip()} if file.name.endswith(".key") else set()
    return {one for one in found if len(one) > 15}


def files(made: Product) -> Iterator[Path]:
    for folder, _, names in os.walk(made.home):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def done_to(made: Product, folder: Path) -> set[str]:
    """Everything that has to do with passwords; those that there ever were."""
    made.aic("up", "-d", str(application(folder, text())))
    known = passwords(made)
    for kind in TYPES:
        if kind != "custom":
            made.aic("resources", "rotate", f"my-{kind}", "--app", "all")
    known |= passwords(made)
    made.aic("snapshot", "save", "one", "--app", "all")
    made.aic("snapshot", "restore", "one", "--app", "all", "--yes")
    made.aic("backup", "now", "my-postgres", "--app", "all")
    made.aic("db", "dump", "my-postgres", "--app", "all", check=False)
    made.aic("exec", "web", "--", "true")
    known |= passwords(made)
    for broken in (
        text(run="echo nothing; exit 3"),
        text(more=f'  far: {{type: redis, url: "redis://me:{OUTSIDE}@127.0.0.1:1/0"}}\n'),
        text(more=f'  bad: {{type: postgres, url: "mysql://me:{BROKEN}@127.0.0.1/x"}}\n'),
    ):
        failed = made.run("up", "-d", str(application(folder, broken)))
        assert failed.returncode != 0
        for secret in (*known, OUTSIDE, BROKEN):
            assert secret not in failed.stdout + failed.stderr
    application(folder, text())
    return known | passwords(made) | {OUTSIDE, BROKEN}


def test_no_password_is_anywhere_whatever_was_done(tmp_path: Path) -> None:
    with product() as made:
        with Watch() as watch:
            known = done_to(made, tmp_path / "all")
            shown = answers(made) | pages(made)
            for words in (
                ("ps",),
                ("status", "--json"),
                ("resources", "--json"),
                ("releases", "all", "--json"),
                ("doctor",),
            ):
                shown[f"aic {words[0]}"] = made.run(*words).stdout
            shown["aic plan"] = made.run("plan", str(tmp_path / "all"), "--json").stdout
        assert len(known) > 2 * len(TYPES), "there is something to look for"
        shown["the process list"] = "\n".join(watch.seen)
        found = {(place, secret[:4]) for place, given in shown.items() for secret in known if secret in given}
        assert found == set()
        assert len([place for place in shown if place.startswith("GET")]) > 40
        assert open_files(made, known) == set()


def open_files(made: Product, known: set[str]) -> set[str]:
    """Files with a password that others than their owner may read; and logs with one, whoever may read them."""
    pattern = re.compile("|".join(map(re.escape, sorted(known))).encode())
    found = set()
    for path in files(made):
        with contextlib.suppress(OSError):
            is_log = path.suffix == ".log" or "logs" in path.relative_to(made.home).parts
            if (is_log or path.stat().st_mode & 0o077) and not is_closed(path, made.home):
                if pattern.search(path.read_bytes()):
                    found.add(str(path.relative_to(made.home)))
            elif is_log and pattern.search(path.read_bytes()):
                found.add(str(path.relative_to(made.home)))
    return found


def is_closed(path: Path, home: Path) -> bool:
    """Below a folder that its owner alone may enter."""
    inner = [folder for folder in path.parents if folder != home and folder.is_relative_to(home)]
    return any(not folder.stat().st_mode & 0o077 for folder in inner)


def answers(made: Product) -> dict[str, str]:
    """Of every GET route, with all names that could stand in it."""
    paths = call(made, "openapi.json", prefix="/")[1]["paths"]
    values = {
        "app": ["all"],
        "name": ["web", *(f"my-{kind}" for kind in TYPES), "one"],
        "number": ["1", "2", "3", "4"],
        "release": ["1"],
        "kind": ["workload", "server"],
        "service": ["web"],
    }
    found = {}
    for path, about in paths.items():
        if "get" not in about:
            continue
        names = re.findall(r"{(\w+)[^}]*}", path)
        for chosen in itertools.product(*(values.get(name, ["1"]) for name in names)):
            place = path
            for name, value in zip(names, chosen, strict=True):
                place = re.sub(rf"{{{name}[^}}]*}}", value, place)
            found[f"GET {place}"] = asked(made, place)
    return found


def asked(made: Product, path: str) -> str:
    """What it answers within a second or two: some never end."""
    place = json.loads((made.home / "daemon.json").read_text())["api"]
    headers = {"authorization": f"Bearer {(made.home / 'token').read_text().strip()}"}
    raw, deadline = b"", time.monotonic() + 2
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{place}{path}", headers=headers), timeout=2) as answer:
            while time.monotonic() < deadline and (chunk := answer.read1(1 << 16)):
                raw += chunk
    except urllib.error.HTTPError as error:
        raw = error.read()
    except OSError:
        pass
    return raw.decode("utf-8", "replace")


def pages(made: Product, *starts: str) -> dict[str, str]:
    """The console's, as far as links lead from its first page, or from others."""
    link = json.loads(made.aic("open", "--json"))["url"]
    jar, base = made.home / "cookies", link.partition("/login")[0]
    fetch = ["curl", "-s", "-L", "-m", "10", "-b", str(jar), "-c", str(jar)]
    subprocess.run([*fetch, link], check=True, capture_output=True)
    jar.chmod(0o600)
    waiting, found = [*(starts or ("/", "/apps/all", "/apps/all/resources"))], dict[str, str]()
    while waiting and len(found) < PAGES:
        path = waiting.pop(0)
        done = subprocess.run([*fetch, f"{base}{path}"], capture_output=True, text=True, errors="replace", check=False)
        found[path] = done.stdout
        links = [one for one in _LINK.findall(done.stdout) if "static" not in one and "logout" not in one]
        waiting += [one for one in dict.fromkeys(links) if one not in found and one not in waiting]
    assert sum("<h1" in page for page in found.values()) > (4 if starts else 8)
    return found
