"""What was acknowledged is there, whoever is killed while it is written: the server, the daemon, or both at once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiculturekit.resources import mails
from benchmarks.products import ROOT, Product, application
from tests.integration.test_integration_resources import own
from tests.resources.keepers import DONE
from tests.resources.stages import require_mysql

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
ROUNDS = int(os.environ.get("AIC_ROUNDS", "3"))
__all__ = ["own"]
KILLED = (("server",), ("daemon",), ("server", "daemon"))
WITHIN = 90.0
"""Seconds: a server that ends again and again is started again after pauses of up to half a minute."""
SECONDS = 0.4
"""How long a batch is written."""
OUTPUTS = {
    "postgres": ("url",),
    "mysql": ("host", "port", "username", "password", "database"),
    "sqlite": ("url",),
    "redis": ("url",),
    "s3": ("url", "endpoint", "key", "secret", "bucket", "region"),
    "nats": ("url",),
    "smtp": ("host", "port", "username", "password"),
}
WITH_TABLES = ("postgres", "mysql", "sqlite", "nats")


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """`door` is the address of what writes: it stays, whoever is killed."""

    made: Product
    folder: Path
    kind: str
    door: str


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """`is_whole`: no error ended it."""

    acknowledged: list[str]
    is_whole: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """`pause` is the seconds from the kill to the first write that was acknowledged after all."""

    acknowledged: list[str]
    was_cut: bool
    pause: float


@pytest.mark.parametrize("kind", OUTPUTS)
def test_nothing_acknowledged_is_lost_and_all_is_up_again_by_itself(own: Product, tmp_path: Path, kind: str) -> None:
    if kind == "mysql":
        require_mysql()
    folder = application(tmp_path / "rounds", text(kind))
    own.aic("up", "-d", str(folder))
    scene = Scene(own, folder, kind, f"http://127.0.0.1:{own.ingress}")
    rounds: list[Round] = []
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        who = KILLED[number % len(KILLED)]
        rounds.append(killed_meanwhile(scene, who, prefix=f"r{number}"))
        acknowledged |= set(rounds[-1].acknowledged)
        lost = acknowledged - set(kept(scene))
        assert not lost, (
            f"round {number}, {who} killed: {len(lost)} of {len(acknowledged)} are lost: {sorted(lost)[:5]}"
        )
    pauses = sorted(one.pause for one in rounds)
    print(  # noqa: T201  # the figures of docs/benchmarks.md
        f"{kind}: {ROUNDS} rounds, {sum(one.was_cut for one in rounds)} cut in the middle, {len(acknowledged)} acknowledged, 0 lost, "
        f"back after {pauses[len(pauses) // 2]:.1f} s (median), {pauses[-1]:.1f} s at most"
    )


def text(kind: str) -> str:
    program = f"{sys.executable} {ROOT / 'tests' / 'resources' / 'keepers.py'} {kind}"
    service = {
        "run": f"exec {program}",
        "public": "/",
        "needs": ["resources/thing"],
        "env": {f"THING_{name}".upper(): f"${{resources.thing.{name}}}" for name in OUTPUTS[kind]},
        **({"migrate": f"{program} make"} if kind in WITH_TABLES else {}),
    }
    return f"app: rounds\nservices:\n  writer: {json.dumps(service)}\nresources:\n  thing: {{type: {kind}}}\n"


def killed_meanwhile(scene: Scene, who: tuple[str, ...], *, prefix: str) -> Round:
    """These are killed while a batch is written, and all is up again."""
    numbers = pids(scene.made, "writer" if scene.kind == "sqlite" else "thing")
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(written, scene, prefix, SECONDS)
        time.sleep(random.uniform(0.05, 0.9) * SECONDS)
        for one in who:
            with contextlib.suppress(ProcessLookupError):
                os.kill(numbers[one], signal.SIGKILL)
        killed_at = time.monotonic()
        back = again(scene, prefix=f"{prefix}a", is_down="daemon" in who)
        pause, found = time.monotonic() - killed_at, batch.result()
    return Round([*found.acknowledged, *back], was_cut=not found.is_whole, pause=pause)


def pids(made: Product, server: str) -> dict[str, int]:
    """A file has no server: then it is who writes."""
    status = made.status()
    row = next(row for row in status["workloads"] if row["name"] == server)
    return {"daemon": int(status["daemon"]["pid"]), "server": int(row["pids"][0])}


def written(scene: Scene, prefix: str, seconds: float) -> Written:
    command = ["curl", "-sN", "-m", "60", "-X", "POST", f"{scene.door}/{prefix}?{seconds}"]
    whole, _, _ = subprocess.run(command, capture_output=True, text=True, check=False).stdout.rpartition("\n")
    lines = whole.split("\n")
    return Written([line for line in lines if line.startswith(f"{prefix}-")], lines[-1] == DONE)


def again(scene: Scene, *, prefix: str, is_down: bool) -> list[str]:
    """The first that is written after all, by which the application is up again. A server comes back by the daemon; a daemon with the
    next command, which changes nothing here."""
    if is_down:
        scene.made.aic("up", "-d", str(scene.folder))
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if found := written(scene, f"{prefix}{time.monotonic_ns()}", 0).acknowledged:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not up again within {WITHIN:g} s: {scene.made.aic('ps')}")


def kept(scene: Scene) -> list[str]:
    if scene.kind == "smtp":
        return [mail.subject for mail in mails.found(scene.made.home / "data" / "rounds" / "thing", limit=10**6)]
    command = ["curl", "-s", "-m", "60", f"{scene.door}/"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert not any(line.startswith("! ") for line in found), found
    return found


def test_the_next_daemon_knows_every_server(own: Product, tmp_path: Path) -> None:
    text = "app: kinds\nresources:\n  one-db: {type: postgres}\n  two-db: {type: redis}\n  bus: {type: nats}\n  files: {type: s3}\n  mail: {type: smtp}\n"
    folder = application(tmp_path / "kinds", text)
    own.aic("up", "-d", str(folder))
    before = {row["name"]: row["pids"] for row in own.status()["workloads"]}
    os.kill(pids(own, "one-db")["daemon"], signal.SIGKILL)
    own.aic("up", "-d", str(folder))
    assert {row["name"]: row["pids"] for row in own.status()["workloads"]} == before
