"""Where the bytecode of the daemon is kept, and of the programs that it starts.

Its kind (`-OO`) is written by no installer, and often by nobody: where the packages belong to root, or with PYTHONDONTWRITEBYTECODE, which
images of containers like to set. Six hundred modules would be compiled at every start, which is as much work as all the rest of it
(0.8 s, measured). So it has a folder of its own in the user's cache, whatever is set.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from platformdirs import user_cache_path

_UNSET = "PYTHONDONTWRITEBYTECODE"


def keep() -> None:
    """From now on this process reads bytecode there, and writes what is missing. All stays as it was where the folder can't be had."""
    folder = user_cache_path("aiculturekit") / "bytecode"
    if _is_ours(folder):
        sys.pycache_prefix = str(folder)
        sys.dont_write_bytecode = False


def python() -> list[str]:
    """The words that start an interpreter which does the same as this process."""
    if sys.pycache_prefix is None:
        return [sys.executable]
    return [sys.executable, "-OO", "-X", f"pycache_prefix={sys.pycache_prefix}"]


def environment() -> dict[str, str]:
    """The variables for it."""
    kept = sys.pycache_prefix is not None
    return {name: value for name, value in os.environ.items() if not (kept and name == _UNSET)}


def _is_ours(folder: Path) -> bool:
    """It is there, and nobody else's: who can write in it runs what he likes as us."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
