"""Ends what tests started, also when the tests themselves are killed: a process of its own, which acts as soon as whoever it serves is gone.

As a script it reads from its standard input what there is to end (`process PID`) and to remove (`folder PATH`, `group PATH` for a group of
processes, which goes only empty), and does so when the input ends, the last first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_ENDING = 30.0


@dataclasses.dataclass(frozen=True)
class Guard:
    script: subprocess.Popen[str]
    processes: list[subprocess.Popen[bytes]]

    def end(self, process: subprocess.Popen[bytes]) -> None:
        self.processes.append(process)
        self._tell("process", process.pid)

    def end_other(self, pid: int) -> None:
        """Somebody else's child."""
        self._tell("process", pid)

    def folder(self, prefix: str) -> Path:
        """A new one, which is gone at the end."""
        made = Path(tempfile.mkdtemp(prefix=prefix))
        self._tell("folder", made)
        return made

    def group(self, path: Path) -> None:
        """A control group, with those below it."""
        self._tell("group", path)

    def _tell(self, what: str, value: object) -> None:
        assert self.script.stdin is not None
        self.script.stdin.write(f"{what} {value}\n")
        self.script.stdin.flush()


@contextlib.contextmanager
def guard() -> Iterator[Guard]:
    script = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    one = Guard(script, [])
    try:
        yield one
    finally:
        assert script.stdin is not None
        script.stdin.close()
        script.wait(2 * _ENDING)
        for process in one.processes:
            process.wait(_ENDING)


def _main() -> None:
    known: list[tuple[str, str]] = []
    processes = []
    for line in sys.stdin:
        what, _, value = line.rstrip("\n").partition(" ")
        if what == "process":
            with contextlib.suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(int(value)))
        else:
            known.append((what, value))
    _end(processes)
    for what, value in reversed(known):
        _leave(Path(value)) if what == "group" else shutil.rmtree(value, ignore_errors=True)


def _end(processes: list[psutil.Process]) -> None:
    for process in reversed(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _ENDING
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    """A zombie waits only for its parent."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _leave(group: Path) -> None:
    """The kernel lets go of a group a moment after its last process."""
    deadline = time.monotonic() + _ENDING
    while group.exists() and time.monotonic() < deadline:
        for one in sorted((group, *(path for path in group.rglob("*") if path.is_dir())), reverse=True):
            with contextlib.suppress(OSError):
                one.rmdir()
        time.sleep(0.02)


if __name__ == "__main__":
    _main()
