"""Copies of data: by reference where the file system can (Btrfs, XFS, APFS), which takes no time and no room; else byte by byte."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from aiculturekit.errors import Failed
from aiculturekit.language import say

_COPY = ("cp", "-a", "-c") if sys.platform == "darwin" else ("cp", "-a", "--reflink=auto")

_HERE, _SWAP = -100, 2
"""AT_FDCWD; RENAME_EXCHANGE and RENAME_SWAP are the same number."""


def tree(source: Path, target: Path, *, leave: Collection[str] = ()) -> None:
    """All that is in `source`, with owners, modes and times, into `target`, which is made. `leave` names what of its first level
    stays out. Blocks. Raises Failed (a full disk)."""
    target.mkdir(parents=True, exist_ok=True)
    children = [child for child in source.iterdir() if child.name not in leave]
    if children:
        done = subprocess.run([*_COPY, *children, target], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(
                say("{source} can't be copied: {error}", source=source, error=done.stderr.strip()[-300:]),
                hint=say("free some space, then run the command again; nothing was changed"),
            )
    shutil.copystat(source, target)
    status = source.stat()
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its path in the folder. Blocks."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def exchange(one: Path, other: Path) -> None:
    """Each takes the other's place, in one step where the system has it (Linux: renameat2, macOS: renamex_np). Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = library.renamex_np(os.fsencode(one), os.fsencode(other), _SWAP)
    else:
        failed = library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _SWAP)
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))
