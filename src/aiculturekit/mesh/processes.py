"""The few things that the proxy needs of the operating system: start a process that outlives us, know it again, see
it end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

Spawn = Callable[[Sequence[str], Path, Mapping[str, str]], int]
"""(command, log file, environment) -> pid, of a process in a session of its own. Raises OSError."""

_IS_LINUX = sys.platform.startswith("linux")
_POLL = 0.2


def spawn(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
    """The Spawn that is used unless another is given."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # `ended` reaps it: Popen must not warn that it still runs
    return process.pid


def started(pid: int) -> float | None:
    """When the process started, in a unit that the wall clock does not move; None where none runs under this pid."""
    try:
        if _IS_LINUX:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else float(fields[19])
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (OSError, psutil.Error):
        return None


def is_running(pid: int, *, since: float) -> bool:
    """Whether this very process runs, and not another that got its number."""
    now = started(pid)
    return now is not None and abs(now - since) < 1


async def ended(pid: int) -> None:
    """Return when the process is gone; a child is reaped."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or gone already
        while started(pid) is not None:  # noqa: ASYNC110  # another's process: nobody sends an event
            await asyncio.sleep(_POLL)
    else:
        await _readable(descriptor)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  # it does not block


async def stop(pid: int, *, since: float, grace: float) -> None:
    """SIGTERM, and SIGKILL after `grace` seconds; returns when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_running(pid, since=since):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended(pid), grace)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
