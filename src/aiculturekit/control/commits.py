"""Which Git commit an application's code is. Blocks."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

_DEADLINE = 3.0
"""Seconds for each question: in a repository so large that it takes longer nobody waits for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """The last one that changed the folder. `at` is its committer's time, in seconds since the epoch; None where something in the folder is
    not as committed."""

    revision: str = ""
    at: float | None = None


NONE = Commit()


def of_folder(folder: Path) -> Commit:
    """NONE where it is no Git repository, or there is no git."""
    revision, _, moment = (_git(folder, "log", "-1", "--format=%H %ct", "--", ".") or "").partition(" ")
    if not revision or not moment.isdigit():
        return NONE
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return Commit(revision, float(moment) if changed == "" else None)


def _git(folder: Path, *words: str) -> str | None:
    """What it printed; None where it could not say. It takes no lock, and starts no watcher of files."""
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
