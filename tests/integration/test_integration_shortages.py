"""What a machine may run short of: room on the disk of the data, and the port that a server had."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.products import Product, application, product
from tests.integration.test_integration_durability import Scene, kept, pids, text, written

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
WITHIN = 120.0
SIZE = "192m"


@pytest.fixture
def small() -> Iterator[Product]:
    """A product whose data lies on a small disk of its own."""
    with product() as made:
        data = made.home / "data"
        data.mkdir(mode=0o711)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "aic-small", str(data)]
        if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
            pytest.skip(f"a disk of a test's own needs root: {done.stderr.strip()}")
        try:
            yield made
            made.aic("server", "stop", check=False)
        finally:
            subprocess.run(["umount", "-l", str(data)], check=True)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_disk_that_becomes_full_is_said_and_nothing_is_lost(small: Product, tmp_path: Path, kind: str) -> None:
    scene = begun(small, tmp_path, kind)
    acknowledged = {*written(scene, "before", 0.5).acknowledged}
    assert acknowledged
    ballast = small.home / "data" / "ballast"
    fill(ballast)
    whole = True
    deadline = time.monotonic() + WITHIN
    while whole and time.monotonic() < deadline:
        batch = written(scene, f"full{time.monotonic_ns()}", 2)
        acknowledged |= {*batch.acknowledged}
        whole = batch.is_whole
    assert not whole, "there was room after all"
    until(lambda: "the disk is full" in reason(small) and "free some" in reason(small))
    ballast.unlink()
    acknowledged |= again(scene)
    assert acknowledged <= {*kept(scene)}
    assert reason(small) == ""


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_disk_that_is_full_when_data_is_made_is_said_and_nothing_is_left(
    small: Product, tmp_path: Path, kind: str
) -> None:
    ballast = small.home / "data" / "ballast"
    fill(ballast)
    done = small.run("up", "-d", str(application(tmp_path / "rounds", text(kind))))
    assert done.returncode != 0 and "No space left on device" in done.stdout + done.stderr, done
    ballast.unlink()
    assert again(begun(small, tmp_path, kind))


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_whose_port_somebody_took_meanwhile_has_another(tmp_path: Path, kind: str) -> None:
    with product() as made:
        made.set(AIC_ISOLATION="off")
        scene = begun(made, tmp_path, kind)
        acknowledged = {*written(scene, "before", 0.3).acknowledged}
        numbers, port = pids(made, "thing"), port_of(made)
        os.kill(numbers["daemon"], signal.SIGSTOP)
        try:
            os.kill(numbers["server"], signal.SIGKILL)
            somebody = taken(port)
        finally:
            os.kill(numbers["daemon"], signal.SIGCONT)
        with somebody:
            acknowledged |= again(scene)
            assert port_of(made) != port
            assert acknowledged <= {*kept(scene)}


def begun(made: Product, folder: Path, kind: str) -> Scene:
    place = application(folder / "rounds", text(kind))
    made.aic("up", "-d", str(place))
    return Scene(made, place, kind, f"http://127.0.0.1:{made.ingress}")


def again(scene: Scene) -> set[str]:
    """What is written first, once it is up again by itself."""
    found: set[str] = set()

    def is_up() -> bool:
        found.update(written(scene, f"after{time.monotonic_ns()}", 0).acknowledged)
        return bool(found)

    until(is_up)
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def fill(file: Path) -> None:
    """All that is left on its disk."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(size))


def reason(made: Product) -> str:
    (row,) = json.loads(made.aic("resources", "--json"))
    return str(row["reason"])


def port_of(made: Product) -> int:
    (row,) = json.loads(made.aic("resources", "--json"))
    return int(str(row["url"]).rpartition("@")[2].partition("/")[0].rpartition(":")[2])


def taken(port: int) -> socket.socket:
    """Listened on by somebody else, as soon as who had it is gone."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
