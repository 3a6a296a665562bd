"""What SeaweedFS leaves in /tmp, and the ports of its parts."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from aiculturekit.resources.backends import s3
from aiculturekit.resources.servers import Ground


def test_sockets_that_nobody_listens_on_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_SHARED", tmp_path)
    places = {name: tmp_path / f"seaweedfs-{name}-grpc-1.sock" for name in ("dead", "young", "listening")}
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as young:
        dead.bind(str(places["dead"]))
        young.bind(str(places["young"]))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(places["listening"]))
        listening.listen()
        earlier = time.time() - 100
        for name in ("dead", "listening"):
            os.utime(places[name], (earlier, earlier))
        s3._sweep(os.geteuid() + 1)
        assert all(place.exists() for place in places.values()), "somebody else's"
        s3._sweep(None)
        assert {name for name, place in places.items() if place.exists()} == {"young", "listening"}


def test_a_port_that_somebody_took_is_exchanged_with_the_others(tmp_path: Path) -> None:
    ground = Ground("app", "files", {}, tmp_path, tmp_path, tmp_path)
    first = s3._ports(ground)
    assert s3._ports(ground) == first and len(set(first.values())) == len(first)
    with socket.create_server(("127.0.0.1", first["filer.port"])):
        second = s3._ports(ground)
        assert second["filer.port"] != first["filer.port"]
    assert s3._ports(ground) == second
