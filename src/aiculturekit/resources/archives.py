"""A folder as one compressed file, and the digest by which a changed byte is found. Every function blocks."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from aiculturekit.errors import Failed
from aiculturekit.language import say

NAME = "data.tar.gz"
_CHUNK = 1 << 20


def pack(folder: Path, archive: Path) -> str:
    """All of the folder, with owners by number; answers the archive's digest. Raises Failed."""
    _tar("--use-compress-program=gzip -1", "-cf", archive, "-C", folder, ".")
    return digest(archive)


def unpack(archive: Path, folder: Path) -> None:
    """Into the folder, which is made. Raises Failed for an archive that is cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    _tar("-z", "--numeric-owner", "-xpf", archive, "-C", folder)


def digest(file: Path) -> str:
    """SHA-256, in hex."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _tar(*words: str | Path) -> None:
    done = subprocess.run(["tar", *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(say("{program} failed: {said}", program="tar", said=done.stderr.strip()[-300:]))
