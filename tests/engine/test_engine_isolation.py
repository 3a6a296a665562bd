"""Rooms as far as they need no other process; those that need a namespace are tried where one can be had."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiculturekit import namespaces
from aiculturekit.engine import groups, isolation, rooms
from aiculturekit.engine.probes import ask
from aiculturekit.engine.rooms import Rooms
from aiculturekit.engine.workloads import Probe
from aiculturekit.errors import HostTrouble, Mistake

needs_namespaces = pytest.mark.skipif(namespaces.obstacle() is not None, reason=str(namespaces.obstacle()))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Rooms]:
    found = Rooms(tmp_path / "run")
    found.open()
    yield found
    rooms.clear(tmp_path / "run")
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_what_is_wished_and_what_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "obstacle", lambda: "not today")
    assert isolation.decide("off").kind == "shared-loopback" and "AIC_ISOLATION" in isolation.decide("off").reason
    assert isolation.decide("auto") == isolation.Isolation("shared-loopback", "not today")
    with pytest.raises(HostTrouble, match="not today"):
        isolation.decide("on")
    monkeypatch.setattr(namespaces, "obstacle", lambda: None)
    assert isolation.decide("auto").is_on and isolation.decide("on").is_on and not isolation.decide("off").is_on
    with pytest.raises(Mistake, match="maybe"):
        isolation.wish("maybe")


@needs_namespaces
def test_a_room_has_a_loopback_and_nothing_else(made: Rooms) -> None:
    door = Path(made.ensure([("shop", "web")])["shop", "web"])
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]

        def try_all() -> list[int]:
            with socket.create_server(("127.0.0.1", 0)) as inside:
                places = [inside.getsockname(), ("127.0.0.1", port), ("192.0.2.1", 80)]
                return [socket.socket().connect_ex(place) for place in places]

        found = namespaces.inside(door, try_all)
    assert found[0] == 0 and all(found[1:])
    assert len(namespaces.inside(door, socket.if_nameindex)) == 1
    assert len(socket.if_nameindex()) == len(list(Path("/sys/class/net").iterdir())), "this process never moved"


@needs_namespaces
def test_who_lives_there_knows_the_names_it_is_given_and_cannot_leave(made: Rooms) -> None:
    made.ensure([("shop", "web"), ("shop", "other")])
    made.furnish("shop", "web", names={"order-service": "127.0.0.1"}, addresses=["10.1.2.3"])
    room = made.of("shop", "web")
    assert room is not None
    script = (
        "cat /etc/hosts /etc/resolv.conf; nsenter --net=/proc/1/ns/net true || echo held; touch /etc/hosts || echo held"
    )
    run = room.start(
        lambda: subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False).stdout
    )
    assert "127.0.0.1 order-service" in run and socket.gethostname() in run and "nameserver 127.0.0.1" in run
    assert run.count("held") == 2
    assert "order-service" not in Path("/etc/hosts").read_text()


@needs_namespaces
def test_rooms_are_found_again_and_made_again_where_the_machine_was_restarted(tmp_path: Path, made: Rooms) -> None:
    doors = {name: Path(door) for name, door in made.ensure([("shop", "web"), ("shop", "db")]).items()}
    lost = doors["shop", "db"]
    namespaces.remove(lost)
    lost.touch()
    again = Rooms(tmp_path / "run")
    again.open()
    assert {name: Path(door) for name, door in again.ensure([]).items()} == doors
    assert all(namespaces.is_there(door) for door in doors.values())
    again.keep([("shop", "db")])
    assert not doors["shop", "web"].exists() and again.of("shop", "web") is None
    assert again.ensure([("shop", "web")])["shop", "web"] != str(doors["shop", "web"]), "a new one under a new name"


@needs_namespaces
async def test_probes_ask_inside(tmp_path: Path, made: Rooms) -> None:
    made.ensure([("shop", "web")])
    room = made.of("shop", "web")
    assert room is not None
    server = namespaces.inside(room.namespace, lambda: socket.create_server(("127.0.0.1", 0)))
    with server:
        port = server.getsockname()[1]
        inside = await ask(Probe("tcp"), port=port, directory=tmp_path, environment={}, room=room)
        outside = await ask(Probe("tcp"), port=port, directory=tmp_path, environment={})
        command = f"test $(readlink /proc/self/ns/net) != {Path('/proc/self/ns/net').readlink()}"
        executed = await ask(
            Probe("exec", command=command),
            port=port,
            directory=tmp_path,
            environment={"PATH": os.environ["PATH"]},
            room=room,
        )
    assert (inside.is_well, outside.is_well, executed.is_well) == (True, False, True)


@needs_namespaces
@pytest.mark.parametrize("wrap", [["unshare", "-Urn"], ["setpriv", "--bounding-set=-sys_admin"], ["setpriv", "--bounding-set=-net_admin"]])  # fmt: skip
def test_a_root_with_too_few_rights_is_told_so_before_anything_is_tried(wrap: list[str]) -> None:
    """As in a container: `auto` goes on without then."""
    if shutil.which(wrap[0]) is None:
        pytest.skip(f"{wrap[0]} is not installed")
    code = "from aiculturekit import namespaces; print(namespaces.obstacle())"
    done = subprocess.run([*wrap, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the kernel refuses network namespaces" in done.stdout, done.stdout + done.stderr


@needs_namespaces
def test_asking_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    namespaces.obstacle.cache_clear()
    assert namespaces.obstacle() is None
    assert list(tmp_path.iterdir()) == [] and str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@needs_namespaces
def test_localhost_is_the_address_that_is_dialled(made: Rooms) -> None:
    """Who binds it by name is found, whatever its language prefers."""
    made.ensure([("shop", "web")])
    room = made.of("shop", "web")
    assert room is not None
    command = ["getent", "ahosts", "localhost"]
    found = room.start(lambda: subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert "127.0.0.1" in found and "::1" not in found


def test_what_was_not_reached_is_recognized_in_many_languages() -> None:
    for line in (
        'psycopg.OperationalError: connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        "Error: connect ECONNREFUSED 127.0.0.1:6379",
        "getaddrinfo ENOTFOUND api.example.com",
        "dial tcp: lookup api.example.com on 127.0.0.1:53: no such host",
        "socket.gaierror: [Errno -2] Name or service not known",
        "java.net.UnknownHostException: api.example.com",
        "OSError: [Errno 101] Network is unreachable",
    ):
        assert "needs" in groups.walled([line]), line
    assert groups.walled(["ModuleNotFoundError: No module named 'flask'"]) == ""
