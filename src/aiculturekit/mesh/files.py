"""Files that another process watches: replaced as a whole, by a rename, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def folder(path: Path) -> Path:
    """The folder, made if need be, that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def text(document: Mapping[str, Any]) -> bytes:
    """The one form in which a document is written, so that equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read(path: Path) -> bytes | None:
    """The content; None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def replace(path: Path, content: bytes) -> None:
    """Write beside the file, then rename over it: readers see the old content or the new, and the rename wakes who
    watches.

    Only the owner may read it, from its first moment. Not flushed to the disk: everything that is written so can be
    made again.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
        os.replace(name, path)  # noqa: PTH105  # `name` is no Path yet
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def put(path: Path, content: bytes | None) -> bool:
    """Make the file have this content, or not be there for None; whether that was a change."""
    if read(path) == content:
        return False
    if content is None:
        path.unlink(missing_ok=True)
    else:
        replace(path, content)
    return True
