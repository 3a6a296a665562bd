"""Network namespaces of Linux by system calls; `obstacle` says why there are none elsewhere. The one module that knows them.

`unshare` and `setns` move the calling thread alone, and what a thread opens or starts stays where it was opened or started. So everything
here happens on a thread of its own that ends with the call: no program in between, and the rest of the process never moves.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aiculturekit.language import say

T = TypeVar("T")

_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000
_FILES = 0x00000200
"""CLONE_FS: root, working directory and umask."""
_READ_ONLY, _REMOUNT = 0x1, 0x20
_BIND, _RECURSIVE, _SLAVE = 0x1000, 0x4000, 0x80000
_DETACH = 2
_CAPBSET_DROP = 24
_LEAVING = (12, 16, 19, 21)
"""CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_PTRACE, CAP_SYS_ADMIN: with one of them root finds a way out of its namespace."""
_SET_FLAGS, _SET_ADDRESS, _SET_MASK, _UP = 0x8914, 0x8916, 0x891C, 0x1
"""SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK and IFF_UP (netdevice(7))."""
_SECOND_HIERARCHY = b"/sys/fs/cgroup/unified"
_OURS, _OURS_NOW = Path("/proc/self/ns/net"), b"/proc/thread-self/ns/net"


@functools.cache
def obstacle() -> str | None:
    """Why this process can't make network namespaces; None when it can. Tried, not guessed."""
    if not sys.platform.startswith("linux"):
        return say("network namespaces are a part of Linux")
    if os.geteuid() != 0:
        return say("only root can make network namespaces")
    try:
        _on_a_thread(_try)
    except OSError as error:
        return say("the kernel refuses network namespaces: {error}", error=error.strerror)
    return None


def create(path: Path) -> None:
    """A namespace with nothing but `lo`, kept alive by `path`. Raises OSError."""
    path.touch(mode=0o600)
    _on_a_thread(lambda: _make(path))


def remove(path: Path) -> None:
    """Let it go; it ends with the last process and socket in it. Idempotent."""
    while is_there(path):
        _check(_library().umount2(bytes(path), _DETACH))
    path.unlink(missing_ok=True)


def is_there(path: Path) -> bool:
    """Whether `path` keeps a namespace: after a restart of the machine only the file is left."""
    try:
        return path.stat().st_dev == _OURS.stat().st_dev
    except OSError:
        return False


def is_inside(pid: int, path: Path | None) -> bool:
    """Whether the process lives in the namespace that `path` keeps; in ours for None."""
    try:
        return os.path.samestat(Path(f"/proc/{pid}/ns/net").stat(), (path or _OURS).stat())
    except OSError:
        return path is None


def inside(path: Path, call: Callable[[], T]) -> T:
    """What `call` answers from within the namespace; a socket that it opens stays there. Raises OSError."""

    def work() -> T:
        _enter(path)
        return call()

    return _on_a_thread(work)


def confined(path: Path, call: Callable[[], T], *, files: Mapping[str, Path], is_runtime: bool = False) -> T:
    """The same for a process that `call` starts: it sees each of `files` in the place of the system's own, and lacks the
    rights with which root could leave again. The runtime of a container keeps them: it needs them to make one, and takes them from what
    it runs. Raises OSError."""

    def work() -> T:
        _enter(path)
        _furnish(files, but_not=path.parent)
        if is_runtime:
            _hide_second_hierarchy()
        else:
            _leave_rights()
        return call()

    return _on_a_thread(work)


def visited(pid: int, call: Callable[[], T]) -> T:
    """The same for where a process lives: its network, its view of the files, and no more rights than it has. Raises OSError."""

    def work() -> T:
        doors = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
        try:
            _check(_library().unshare(_FILES))  # one that shares its directory with other threads may not move
            for door in doors:
                _check(_library().setns(door, 0))
        finally:
            for door in doors:
                os.close(door)
        _leave_rights()
        return call()

    return _on_a_thread(work)


def own(path: Path, addresses: Sequence[str]) -> None:
    """Make these addresses of IPv4 the namespace's own, each for itself. Idempotent. Raises OSError."""

    def call() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
            for address in addresses:
                number = socket.inet_aton(address)
                label = b"lo:" + number.hex().encode()
                for request, value in ((_SET_ADDRESS, number), (_SET_MASK, b"\xff" * 4)):
                    fcntl.ioctl(anything, request, struct.pack("16sH2x4s8x", label, socket.AF_INET, value))

    inside(path, call)


def connection(path: Path) -> socket.socket:
    """A TCP socket inside, for a loop that does not block. Raises OSError."""
    made = inside(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    made.setblocking(False)
    return made


def _on_a_thread(work: Callable[[], T]) -> T:
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # raised again by who waits for it
            failed.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _try() -> None:
    """All that is asked of the kernel later, once: a root without some of its rights (a container's, a user namespace's) may be
    allowed a part of it."""
    descriptor, name = tempfile.mkstemp(prefix="aic-")
    os.close(descriptor)
    try:
        _make(Path(name))
    finally:
        remove(Path(name))
    _furnish({}, but_not=None)
    _leave_rights()


def _make(path: Path) -> None:
    _check(_library().unshare(_NEW_NETWORK))
    _loopback_up()
    _check(_library().mount(_OURS_NOW, bytes(path), None, ctypes.c_ulong(_BIND), None))


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_library().setns(descriptor, _NEW_NETWORK))
    finally:
        os.close(descriptor)


def _leave_rights() -> None:
    for capability in _LEAVING:
        _check(_library().prctl(_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0))


def _furnish(files: Mapping[str, Path], *, but_not: Path | None) -> None:
    """A view of the file system of its own, which still follows what the machine mounts and unmounts, without the doors to
    other namespaces."""
    _check(_library().unshare(_NEW_MOUNTS))
    _check(_library().mount(None, b"/", None, ctypes.c_ulong(_RECURSIVE | _SLAVE), None))
    for door in but_not.iterdir() if but_not else ():
        _library().umount2(bytes(door), _DETACH)
    for place, file in files.items():
        if Path(place).exists():
            _check(_library().mount(bytes(file), place.encode(), None, ctypes.c_ulong(_BIND), None))
            again = ctypes.c_ulong(_BIND | _REMOUNT | _READ_ONLY)
            _check(_library().mount(None, place.encode(), None, again, None))


def _hide_second_hierarchy() -> None:
    """crun refuses a machine that has both kinds of cgroups at once (systemd's `hybrid`), though it makes none of either here."""
    _library().umount2(_SECOND_HIERARCHY, _DETACH)


@functools.cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
