"""A network of one's own for a test: a fresh loopback on which every address and port is free, and from which nothing leaves."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def obstacle() -> str | None:
    """Why this process cannot have one; None where it can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    try:
        with own():
            return None
    except OSError as error:
        return f"no right to make a network namespace ({error.strerror}): as root, or `unshare -Urn ./test ...`"


@dataclasses.dataclass(frozen=True)
class Network:
    descriptor: int

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and the threads and processes that it starts, are in it; the thread comes back at the end."""
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            _checked(_libc().setns(self.descriptor, _CLONE_NEWNET))
            try:
                yield
            finally:
                _checked(_libc().setns(before.fileno(), _CLONE_NEWNET))


@contextlib.contextmanager
def made() -> Iterator[Network]:
    """A new one, which nobody is in yet. Raises OSError where this process may not."""
    here = Path("/proc/thread-self/ns/net")
    with here.open("rb") as before, contextlib.ExitStack() as stack:
        _checked(_libc().unshare(_CLONE_NEWNET))
        try:
            _up("lo")
            new = stack.enter_context(here.open("rb"))
        finally:
            _checked(_libc().setns(before.fileno(), _CLONE_NEWNET))
        yield Network(new.fileno())


@contextlib.contextmanager
def own() -> Iterator[None]:
    """This thread, and the threads and processes that it starts, are in a new network; the thread comes back at the end.

    Raises OSError where it may not."""
    with made() as network, network.entered():
        yield


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", interface.encode(), 0)
        name, flags = struct.unpack_from("16sh", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))
