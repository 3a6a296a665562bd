"""The data of resources: files of this machine (`sqlite`, a database file; `volume`, a directory), and the folders that servers keep
theirs in. What goes is set aside, never erased."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import places

TYPES = ("sqlite", "volume")


_MOMENT = r"[0-9]{8}T[0-9]{6}Z?-[0-9]+"


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


def aside(home: Path, app: str, documents: Iterable[Document]) -> frozenset[Path]:
    """Where data of these resources was set aside."""
    names = [f"{app}-{document.name}-" for document in documents]
    folders = [home / "data" / ".removed", places.site(home) / ".removed"]
    listed = (folder for place in folders if place.is_dir() for folder in place.iterdir())
    return frozenset(
        folder for folder in listed if any(re.fullmatch(re.escape(name) + _MOMENT, folder.name) for name in names)
    )


def erase(folders: Iterable[Path]) -> None:
    """For good. Raises HostTrouble."""
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise HostTrouble(
                say("{folder} could not be erased: {error}", folder=folder, error=str(error)),
                hint=say("remove it by hand: nothing uses it any more"),
            ) from error


def size(home: Path, app: str, document: Document) -> int:
    """Bytes on disk, of all files."""
    return sum(file.stat().st_size for file in (home / "data" / app / document.name).rglob("*") if file.is_file())
