"""What a snapshot is on the disk: a folder with its name, a folder within for each resource, and what describes it. Every function
blocks."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.resources import copies

_ABOUT = "snapshot.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """`created_at` is seconds since the epoch; `resources` maps each name to its type and its bytes."""

    app: str
    name: str
    created_at: float
    release: int
    resources: Mapping[str, Mapping[str, Any]] = dataclasses.field(hash=False)

    @property
    def bytes(self) -> int:
        return sum(resource["bytes"] for resource in self.resources.values())


def all_in(place: Path) -> list[Snapshot]:
    """Newest first."""
    found = [_read(file) for file in place.glob(f"[!.]*/{_ABOUT}")]
    return sorted((one for one in found if one), key=lambda one: -one.created_at)


def _described(folder: Path, data: Sequence[Document]) -> dict[str, dict[str, Any]]:
    return {d.name: {"type": d.body["type"], "bytes": copies.size(folder / d.name)} for d in data}


def holding(snapshot: Snapshot, folder: Path, data: Sequence[Document]) -> Snapshot:
    """The snapshot, with what the folder has of these."""
    return dataclasses.replace(snapshot, resources=_described(folder, data))


def finish(folder: Path, snapshot: Snapshot) -> None:
    """The folder becomes the snapshot."""
    write(folder, snapshot)
    folder.rename(folder.with_name(snapshot.name))


def write(folder: Path, snapshot: Snapshot) -> None:
    fresh = folder / f"{_ABOUT}.new"
    fresh.write_text(json.dumps(dataclasses.asdict(snapshot)))
    fresh.rename(folder / _ABOUT)


def erase(folder: Path) -> None:
    """Raises OSError."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)  # half a snapshot must not be taken for a whole one
    shutil.rmtree(gone)


def has_data(folder: Path) -> bool:
    """A folder that a first start made and left empty is none."""
    return folder.is_dir() and any(folder.iterdir())


def _read(file: Path) -> Snapshot | None:
    """None for one that is just being removed, or was written by something else."""
    try:
        return Snapshot(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
