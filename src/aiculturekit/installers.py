"""Running an installer: one at a time for each place, with its lines passed on and its end made sure."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path

from aiculturekit.errors import BuildFailed
from aiculturekit.language import say

Progress = Callable[[str], None]
_TAIL, _DEADLINE = 20, 900.0


@cache
def uv() -> str | None:
    """The installer that comes with us, or the machine's own; None: there is only pip."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


@contextlib.asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """An advisory lock that other processes see; waiting for it does not hold up the loop, and it ends with the process.
    The file stays: one that is removed could be locked twice."""
    with file.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


async def run(command: Sequence[str], directory: Path, what: str, progress: Progress) -> None:
    """Run an installer of `what`, passing its lines on. When it fails, or this is cancelled, its whole group is ended. Raises BuildFailed
    with the last lines."""
    tail: deque[str] = deque(maxlen=_TAIL)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,
    )
    try:
        async with asyncio.timeout(_DEADLINE):
            await _pass_on(process, tail, progress)
            code = await process.wait()
    except TimeoutError:
        raise BuildFailed(
            say("installing {what} took more than {seconds:g} s", what=what, seconds=_DEADLINE),
            tail=list(tail),
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code != 0:
        raise BuildFailed(
            say("{what}: what it needs could not be installed", what=what),
            tail=list(tail),
            hint=_hint(tail),
        )


async def _pass_on(process: asyncio.subprocess.Process, tail: deque[str], progress: Progress) -> None:
    if process.stdout is None:
        return
    async for raw in process.stdout:
        if line := raw.decode("utf-8", "replace").strip():
            tail.append(line)
            progress(line)


def _hint(tail: Sequence[str]) -> str:
    text = " ".join(tail).lower()
    if any(word in text for word in ("no space left", "disk quota")):
        return say("the disk is full: free some space")
    if any(
        word in text
        for word in ("not found in the package registry", "no matching distribution", "404", "no solution found")
    ):
        return say("a package or version does not exist: check the names in the file")
    if any(word in text for word in ("dns", "resolve host", "connection", "network", "timed out", "enotfound")):
        return say("the package index was not reached: the first installation needs a network, later starts do not")
    return say("the lines above are the installer's own")
