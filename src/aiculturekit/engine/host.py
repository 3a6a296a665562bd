"""All that is special to an operating system: processes and their identity, exits, holes in files. Linux first, psutil elsewhere.

A process is identified by its pid and its start: on Linux the start in clock ticks since boot (field 22 of /proc/PID/stat), which no
change of the wall clock moves. `signals` go to whole process groups; what left its group is found by the token in its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from aiculturekit.language import say

TOKEN, NODE, ZONE = "AIC_REPLICA", "AIC_NODE", "AIC_ZONE"  # names of variables
IS_LINUX = sys.platform.startswith("linux")
_POLL = 0.25
_LOOKS, _LOOK_AGAIN = 100, 0.02
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_ROOM = 16 << 20


def spawn(command: Sequence[str], *, log: Path, environment: Mapping[str, str], directory: Path | None = None) -> int:
    """Start a process in a session of its own, its output appended to `log`; answers its pid. Raises OSError."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
        )
    process.returncode = 0  # reaped in `reap`: Popen must not warn, poll or wait
    return process.pid


def started(pid: int) -> float | None:
    """The start of the process with this pid, or None where there is none (or only what is left of one)."""
    try:
        if IS_LINUX:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else float(fields[19])
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (OSError, psutil.Error, IndexError, ValueError):
        return None


def is_running(pid: int, *, since: float | None) -> bool:
    """Whether this very process (not another one that got its number) runs."""
    now = started(pid)
    return now is not None and (since is None or abs(now - since) < 1)


def reap(pid: int) -> int | None:
    """The exit code of a child that ended (negative: by that signal), None for one that runs, or is no child of ours."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


async def ended(pid: int) -> int | None:
    """Wait until the process is gone; its exit code where it was a child of ours."""
    descriptor = _pidfd(pid)
    if descriptor is not None:
        await _readable(descriptor)
        return reap(pid)
    while started(pid) is not None:  # noqa: ASYNC110  # another's process: nobody sends an event
        await asyncio.sleep(_POLL)
    return reap(pid)


async def group_ended(pid: int) -> None:
    """Wait until the group that the process led has no member left."""
    while _has_members(pid):  # noqa: ASYNC110  # nobody tells when a group is empty
        await asyncio.sleep(_LOOK_AGAIN)


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pidfd(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def signal_group(pid: int, number: int) -> None:
    """To the whole group that the process leads. Nothing happens when it is gone, or for 0 (no process)."""
    if pid <= 0:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def signal_each(pids: Sequence[int], number: int) -> None:
    """To each of them that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_all(token: str, *, pid: int | None) -> int:
    """SIGKILL to the group of `pid` and to every process that carries the token; answers how many had left the group.

    Looks again until nobody is left: one that is just being forked or executed has no environment to be known by. Blocks, for
    two seconds at most.
    """
    if pid is not None:
        signal_group(pid, signal.SIGKILL)
    found: set[int] = set()
    for _ in range(_LOOKS):
        left = {other for other, environment in marked() if environment.get(TOKEN) == token and other != pid}
        if not left:
            break
        found |= left
        for other in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)
        time.sleep(_LOOK_AGAIN)
    return len(found)


def marked() -> Iterator[tuple[int, Mapping[str, str]]]:
    """(pid, environment) of every process of this user that the platform started."""
    if not IS_LINUX:
        yield from _marked_elsewhere()
        return
    needle = NODE.encode() + b"="
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                raw = (folder / "environ").read_bytes()
                if needle in raw:
                    yield int(folder.name), _parsed(raw)


def _marked_elsewhere() -> Iterator[tuple[int, Mapping[str, str]]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = process.environ()
            if NODE in environment:
                yield process.pid, environment


def _parsed(raw: bytes) -> dict[str, str]:
    pairs = (item.partition("=") for item in raw.decode("utf-8", "replace").split("\0") if item)
    return {name: value for name, _, value in pairs}


def memory(pids: Sequence[int]) -> int | None:
    """Bytes of the processes' groups: proportional set size where the kernel tells it, else resident size."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error):
            total += _pss(pid) if IS_LINUX else psutil.Process(pid).memory_info().rss
    return total or None


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float | None:
    """User and system time that the process has used."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def group(pid: int) -> list[int]:
    """The process and its descendants."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        return []


def shortage(folder: Path) -> str:
    """What to say where the disk is as good as full, by what a PostgreSQL wants for its log at a time; "" where it is not. Blocks."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    if free >= _ROOM:
        return ""
    megabytes = free / (1 << 20)
    return say(
        "the disk is full: {free:.1f} MB are left at {folder}; free some, and it goes on by itself",
        free=megabytes,
        folder=folder,
    )


def discard_head(descriptor: int, upto: int) -> bool:
    """Give the disk the first `upto` bytes of a file back while others keep appending; False where this machine can't."""
    fallocate = _fallocate()
    if fallocate is None:
        return False
    return fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(upto)) == 0


def _fallocate() -> Callable[..., int] | None:
    if not IS_LINUX:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return getattr(library, "fallocate", None)
