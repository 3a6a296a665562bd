"""A server of ours as a process: how it is started, where it answers, and how it is told that its files changed.

A server may live in a network namespace of its own, which nobody outside can dial; the way in is the namespace of its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil

from aiculturekit import namespaces, threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.resources import programs
from aiculturekit.resources.servers import Ground

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_RUNNING, _STANDING_STILL = "running", 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """`port` is one of loopback, in the network namespace of the process."""

    pid: int
    port: int


def command(ground: Ground, words: Sequence[object]) -> str:
    """For the shell: become the program, as the user who runs servers. Words may hold $PORT."""
    return noted(ground, [*programs.prefix(ground.uid), *words])


def noted(ground: Ground, words: Sequence[object]) -> str:
    """For the shell: leave a note of the process and its port, then become the program."""
    note = shlex.quote(str(ground.sockets / _RUNNING))
    return f"echo $$ $PORT >{note} && exec {quoted(*words)}"


def quoted(*words: object) -> str:
    """For the shell: each as it stands, whatever is in it, but for $PORT."""
    return " ".join('"$PORT"'.join(map(_quoted, str(word).split("$PORT"))) for word in words)


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""


def note(ground: Ground, *, pid: int, port: int) -> None:
    """Of a server that leaves none by itself. Blocks."""
    with contextlib.suppress(psutil.Error):
        write(ground.sockets / _RUNNING, f"{pid} {port} {psutil.Process(pid).create_time()}", uid=None)


def running(ground: Ground) -> Running:
    """Raises Failed where it does not run."""
    try:
        pid, port, *since = (ground.sockets / _RUNNING).read_text().split()
        found, process = Running(int(pid), int(port)), psutil.Process(int(pid))
        if not (_is_of(ground, process) if not since else since == [str(process.create_time())]):
            raise ProcessLookupError  # the number is somebody else's by now
    except (OSError, ValueError, psutil.Error):
        raise Failed(say("{name} does not run", name=ground.name), hint=say("`aic up` starts it")) from None
    return found


def _is_of(ground: Ground, process: psutil.Process) -> bool:
    return any(str(ground.folder) in word for word in process.cmdline())


@contextlib.asynccontextmanager
async def still(pid: int) -> AsyncIterator[None]:
    """The process and those that it began do nothing meanwhile: a copy of its files is what a crash at this moment would leave. A daemon
    that dies meanwhile: the next one lets it go on. Raises Failed."""
    pids = _family(pid)
    try:
        for one in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
        await _stillness(pids)
        yield
    finally:
        for one in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    """Raises Failed where it is gone."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.Error:
        raise _restless() from None


async def _stillness(pids: Sequence[int]) -> None:
    """Every thread of them has stopped. Raises Failed."""
    deadline = time.monotonic() + _STANDING_STILL
    while not await threads.run(all, map(_is_still, pids)):
        if time.monotonic() > deadline:
            raise _restless()
        await asyncio.sleep(0.005)


def _restless() -> Failed:
    return Failed(say("the server could not be held still to be copied"), hint=say("run the command again"))


def _is_still(pid: int) -> bool:
    if sys.platform != "linux":
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] in "tTZX" for task in tasks)


def reload(ground: Ground) -> None:
    """It reads its files anew. Raises Failed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running(ground).pid, signal.SIGHUP)


@contextlib.asynccontextmanager
async def dialled(ground: Ground) -> AsyncIterator[Streams]:
    """A connection to its port, closed at the end. Raises Failed, OSError."""
    there = running(ground)
    reader, writer = await _connected(there)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _connected(there: Running) -> Streams:
    if namespaces.is_inside(there.pid, None):
        return await asyncio.open_connection("127.0.0.1", there.port)
    made = namespaces.connection(Path(f"/proc/{there.pid}/ns/net"))
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", there.port))
    except BaseException:
        made.close()
        raise
    return await asyncio.open_connection(sock=made)


def write(file: Path, text: str, *, uid: int | None) -> None:
    """All of it or nothing, for its user alone, who may write in the folder: nothing is written through a link of theirs. Blocks."""
    if file.exists() and file.read_text() == text:
        return
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(opened, "w", encoding="utf-8") as out:  # noqa: PTH123  # what is open has no path that could be changed
        out.write(text)
        if uid is not None:
            os.fchown(out.fileno(), uid, uid)
    fresh.rename(file)


def own_folder(folder: Path, *, uid: int | None) -> Path:
    """There, for its user alone. Blocks."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if uid is not None:
        os.chown(folder, uid, uid, follow_symlinks=False)
    return folder


def secret() -> str:
    """One that nobody has to remember: safe in a URL and in every file of settings."""
    return secrets.token_urlsafe(24)
