"""Copies of data: by reference where the file system can (Btrfs, XFS, APFS), which takes no time and no room; else byte by byte."""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.language import say

_COPY = ("cp", "-a", "-c") if sys.platform == "darwin" else ("cp", "-a", "--reflink=auto")

_HERE, _SWAP = -100, 2
"""AT_FDCWD; RENAME_EXCHANGE and RENAME_SWAP are the same number."""
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""How a kernel or a file system says that it has no such call (NFS, FUSE, an old ZFS)."""
_ASIDE = ".aside"
OWN = ".own"
"""A folder within data that belongs to it alone: no copy of the data has it."""


def tree(source: Path, target: Path, *, leave: Collection[str] = ()) -> None:
    """All that is in `source`, with owners, modes and times, into `target`, which is made. `leave` names what of its first level
    stays out, beside what is the source's own. Blocks. Raises Failed (a full disk)."""
    target.mkdir(parents=True, exist_ok=True)
    children = [child for child in source.iterdir() if child.name not in (OWN, *leave)]
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


def own(place: Path, uid: int | None) -> None:
    """All of it belongs to that user; None: to whom it does already, as for everybody who is not root. Blocks."""
    if uid is not None and os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)


def exchange(one: Path, other: Path) -> None:
    """Each takes the other's place, in one step where the system and the file system have it (Linux: renameat2, macOS: renamex_np), else in
    three, between which `other` has another name beside. Blocks. Raises HostTrouble, with both where they were."""
    try:
        _at_once(one, other)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNKNOWN:
            raise _immovable(one, other, error) from error
        try:
            _by_turns(one, other)
        except OSError as trouble:
            raise _immovable(one, other, trouble) from trouble


def put_back(place: Path) -> None:
    """What an exchange by turns that was killed took from this place, and nothing else, stands in it again. Blocks. Raises OSError."""
    left = sorted(place.parent.glob(f".{glob.escape(place.name)}.*{_ASIDE}"))
    if left and not place.exists():
        left[-1].rename(place)


def _at_once(one: Path, other: Path) -> None:
    """Raises OSError, AttributeError where the C library has no such call."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = library.renamex_np(os.fsencode(one), os.fsencode(other), _SWAP)
    else:
        failed = library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _SWAP)
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


def _by_turns(one: Path, other: Path) -> None:
    aside = other.with_name(f".{other.name}.{secrets.token_hex(4)}{_ASIDE}")
    other.rename(aside)
    try:
        one.rename(other)
        try:
            aside.rename(one)
        except OSError:
            other.rename(one)
            raise
    except OSError:
        aside.rename(other)
        raise


def _immovable(one: Path, other: Path, error: OSError) -> HostTrouble:
    return HostTrouble(
        say("{one} and {other} can't change places: {error}", one=one, other=other, error=error.strerror or str(error)),
        hint=say("both must be on one file system that this user may write to; nothing was changed"),
    )
