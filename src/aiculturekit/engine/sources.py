"""Fingerprints and snapshots of the code that workloads run.

A fingerprint depends on content, not on times: saving a file without changing it restarts nothing. Contents are hashed once for each
(size, time, inode) of a file. A tree over the bounds is fingerprinted by sizes and times instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from aiculturekit import trees

MOST_FILES, MOST_BYTES, LARGEST_SNAPSHOT = 20_000, 200 << 20, 64 << 20

_hashes: dict[Path, tuple[tuple[int, int, int], bytes]] = {}


def digest(directory: Path) -> str:
    """16 hex digits for the tree's content; "" for a directory that is not there. Blocks."""
    found = sorted(trees.files(directory))
    sizes = [(path, path.lstat()) for path in found]
    is_bounded = len(sizes) <= MOST_FILES and sum(info.st_size for _, info in sizes) <= MOST_BYTES
    total = hashlib.sha256()
    for path, info in sizes:
        total.update(str(path.relative_to(directory)).encode("utf-8", "surrogateescape") + b"\0")
        total.update(_content(path, info) if is_bounded else f"{info.st_size} {info.st_mtime_ns}".encode())
    return total.hexdigest()[:16] if found else ""


def snapshot(directory: Path, *, store: Path) -> Path | None:
    """A copy of the tree under `store/<digest>`, made once; None when it is larger than LARGEST_SNAPSHOT. Blocks."""
    name = digest(directory)
    place = store / name
    if not name or place.is_dir():
        return place if name else None
    found = list(trees.files(directory))
    if sum(path.lstat().st_size for path in found) > LARGEST_SNAPSHOT:
        return None
    draft = store / f".{name}.{os.getpid()}"
    for path in found:
        target = draft / path.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
    try:
        draft.rename(place)
    except OSError:  # another one was faster
        shutil.rmtree(draft, ignore_errors=True)
    return place


def prune(store: Path, *, keep: set[str]) -> None:
    """Remove the snapshots whose digest is not in `keep`. Blocks."""
    for folder in store.glob("*"):
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _content(path: Path, info: os.stat_result) -> bytes:
    key = (info.st_size, info.st_mtime_ns, info.st_ino)
    known = _hashes.get(path)
    if known and known[0] == key:
        return known[1]
    hashed = hashlib.sha256(str(path.readlink()).encode() if path.is_symlink() else _bytes(path)).digest()
    _hashes[path] = (key, hashed)
    return hashed


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a socket, or a file that just went
        return b""
