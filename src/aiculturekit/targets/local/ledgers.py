"""What was done to data, written down beside it: so that a copy of the data knows it too, and new data knows nothing.

One file for each resource, in its folder. It is written after a migration has ended well: one that a crash cut short runs again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import places

Task = Literal["run", "seed"]
_FILE = ".migrations.json"
KEPT = 200
"""Contents that are remembered of each service, the latest ones."""


@dataclasses.dataclass(frozen=True, slots=True)
class Marks:
    """What one service did to one resource. `seed`: "due" from the first migration on, until it was done; "past" where the first migration
    had none to do: data that people use already is not seeded."""

    ran: tuple[str, ...] = ()
    seed: Literal["", "due", "done", "past"] = ""


def content(document: Document) -> str:
    """What a migration is: its code and its command."""
    text = json.dumps([document.body["source"], (document.body["run"] or {}).get("run")])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_due(home: Path, app: str, document: Document) -> bool:
    return any(due(home, app, document))


def due(home: Path, app: str, document: Document) -> Iterator[Task]:
    """What is to be done, in this order. Blocks."""
    known = [read(folder).get(document.name, Marks()) for folder in folders(home, app, document)]
    if document.body["run"] and any(content(document) not in marks.ran for marks in known):
        yield "run"
    if document.body["seed"] and any(marks.seed in ("", "due") for marks in known):
        yield "seed"


def mark(home: Path, app: str, document: Document, *, task: Task) -> None:
    """The task ended well. Blocks."""
    for folder in folders(home, app, document):
        found = read(folder)
        marks = _marked(found.get(document.name, Marks()), document, task)
        _write(folder, found | {document.name: marks})


def folders(home: Path, app: str, document: Document) -> list[Path]:
    names = sorted({need["name"] for need in document.body["needs"] if need["kind"] == "resources"})
    return [places.folder(home, app, name) for name in names]


def read(folder: Path) -> dict[str, Marks]:
    """Service -> its marks. Raises Failed: to take a broken file for an empty one would seed data that is in use."""
    try:
        found = json.loads((folder / _FILE).read_text())
        return {name: Marks(tuple(marks["ran"]), marks["seed"]) for name, marks in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Failed(
            say("{file} can't be read: {error}", file=folder / _FILE, error=str(error)),
            hint=say("it says which migrations ran; restore it, or remove it to run them again"),
        ) from None


def _marked(marks: Marks, document: Document, task: Task) -> Marks:
    if task == "seed":
        return dataclasses.replace(marks, seed="done")
    ran = (*(one for one in marks.ran if one != content(document)), content(document))[-KEPT:]
    return Marks(ran, marks.seed or ("due" if document.body["seed"] else "past"))


def _write(folder: Path, found: dict[str, Marks]) -> None:
    fresh = folder / f"{_FILE}.new"
    with fresh.open("w") as file:
        json.dump({name: dataclasses.asdict(marks) for name, marks in found.items()}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / _FILE)
