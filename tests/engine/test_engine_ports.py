"""Ports are free, of the private range, and never one that somebody listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from aiculturekit.engine import ports
from aiculturekit.errors import HostTrouble


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def listening(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.socket() as server:
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_comes_from_the_range_and_can_be_bound() -> None:
    port = ports.allocate(set())
    assert ports.FIRST <= port <= ports.LAST
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))


def test_the_range_lies_below_the_kernels_ephemeral_ports() -> None:
    assert ports.LAST < 32768


def test_taken_ports_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "FIRST", 29990)
    taken = set(range(29990, 29999))
    try:
        assert ports.allocate(taken) == 29999
    except HostTrouble:
        assert not ports.is_free(29999), "the only one left was somebody else's"


def test_a_full_range_is_said_not_searched_for_ever() -> None:
    with pytest.raises(HostTrouble) as caught:
        ports.allocate(range(ports.FIRST, ports.LAST + 1))
    assert str(ports.FIRST) in caught.value.message
    assert caught.value.hint


def test_a_port_that_somebody_listens_on_is_not_free(listening: int) -> None:
    assert not ports.is_free(listening)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_not_free(port: int) -> None:
    assert not ports.is_free(port)


def test_a_port_whose_last_connection_just_ended_is_free_again() -> None:
    """TIME_WAIT must not push a restarted replica to another port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()
    assert ports.is_free(port)
