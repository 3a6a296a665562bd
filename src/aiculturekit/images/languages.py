"""What a directory's code is written in, by the manifests that stand in it, and the base that such code usually has."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

Language = Literal["python", "node", "other"]
BASES: Mapping[Language, str] = {"python": "python:3.12-slim", "node": "node:22-slim"}


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """`manifests` decide what is installed: the same ones, the same layer. `is_project`: a Python project that is installed itself."""

    language: Language
    manifests: tuple[Path, ...] = ()
    is_project: bool = False


def detect(directory: Path, *, run: str) -> Code:
    """As this machine's own environments: requirements.txt, then a pyproject.toml with a project, then package.json; without any of them
    the command's first word. Blocks."""
    requirements, project, package = (
        directory / name for name in ("requirements.txt", "pyproject.toml", "package.json")
    )
    if requirements.is_file():
        return Code("python", tuple(dict.fromkeys(_included(requirements))))
    if project.is_file() and "[project]" in project.read_text("utf-8", "replace"):
        lock = directory / "uv.lock"
        return Code("python", (project, *([lock] if lock.is_file() else [])), is_project=True)
    if package.is_file():
        locks = (directory / name for name in ("package-lock.json", "npm-shrinkwrap.json", ".npmrc"))
        return Code("node", (package, *(lock for lock in locks if lock.is_file())))
    return Code(_spoken(run))


def _spoken(run: str) -> Language:
    first = run.split(maxsplit=1)[0].rpartition("/")[2] if run.strip() else ""
    if re.fullmatch(r"python(3(\.\d+)?)?", first):
        return "python"
    return "node" if first == "node" else "other"


def _included(file: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The file and those that it names by -r and -c."""
    if file in seen or not file.is_file():
        return
    yield file
    for name in re.findall(
        r"^\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", file.read_text("utf-8", "replace"), re.M
    ):
        yield from _included((file.parent / name).resolve(), seen | {file})
