"""The data of resources: files of this machine (`sqlite`, a database file; `volume`, a directory), and the folders that servers keep
theirs in. What goes is set aside, never erased."""

from __future__ import annotations

import time
from pathlib import Path

from aiculturekit.plan.documents import Document
from aiculturekit.resources import places

TYPES = ("sqlite", "volume")


def place(home: Path, app: str, document: Document) -> Path:
    folder = home / "data" / app / document.name
    return folder / f"{document.name}.db" if document.body["type"] == "sqlite" else folder


def url(home: Path, app: str, document: Document) -> str:
    return url_in(home / "data" / app / document.name, document)


def url_in(folder: Path, document: Document) -> str:
    """What opens the data, or a copy of it, in this folder."""
    return f"sqlite:///{folder / document.name}.db" if document.body["type"] == "sqlite" else f"file://{folder}"


def create(home: Path, app: str, document: Document) -> None:
    uid = None if document.body["type"] in TYPES else places.server_uid()
    places.create(home, app, document.name, uid=uid)


def is_there(home: Path, app: str, document: Document) -> bool:
    return (home / "data" / app / document.name).is_dir()


def set_aside(home: Path, app: str, document: Document) -> Path | None:
    """Move the data to data/.removed/, from where it can be put back by hand."""
    folder = home / "data" / app / document.name
    if not folder.exists():
        return None
    kept = (
        home
        / "data"
        / ".removed"
        / f"{app}-{document.name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{time.time_ns() % 10**6}"
    )
    if folder.is_symlink():
        real = folder.resolve()
        folder.unlink()
        folder, kept = real, real.parents[1] / ".removed" / kept.name
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.rename(kept)
    return kept


def size(home: Path, app: str, document: Document) -> int:
    """Bytes on disk, of all files."""
    return sum(file.stat().st_size for file in (home / "data" / app / document.name).rglob("*") if file.is_file())
