"""The programs that play resources: packages of their own, installed on first use, offline afterwards.

A tool lives in a folder of its own, named after its exact version, beside all others: two applications may pin two versions.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiculturekit import installers, threads
from aiculturekit.errors import HostTrouble, Mistake
from aiculturekit.language import say
from aiculturekit.resources.kinds import KINDS

_MARK = ".complete"


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A package at one exact version; its programs are in `folder` below the module, or where a package's scripts are when it has no
    module. `requires` are the packages that it cannot do without, each at one exact version too."""

    title: str
    package: str
    version: str
    module: str
    folder: str
    requires: tuple[str, ...] = ()


def wanted(kind: str, body: Mapping[str, Any]) -> str:
    """The package's version for what `version:` says. Raises Mistake for one that cannot be had."""
    row = KINDS[kind]
    asked = str(body.get("version") or list(row.versions)[-1])
    if asked not in row.versions:
        raise Mistake(
            say("{title} {version} cannot be had here", title=row.title, version=asked),
            hint=say("there is {known}; or name a server of yours with `url:`", known=", ".join(row.versions)),
        )
    return row.versions[asked]


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


def _scripts() -> Path:
    """Where the scripts of the packages beside us are."""
    return Path(sysconfig.get_path("scripts"))


def _beside(tool: Tool) -> Path | None:
    try:
        if version(tool.package) != tool.version:
            return None
    except PackageNotFoundError:
        return None
    if not tool.module:
        return _scripts()
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
        command = [
            *pip,
            "install",
            "--no-deps",
            "--target",
            str(place),
            f"{tool.package}=={tool.version}",
            *tool.requires,
        ]
        await installers.run(command, place.parent, f"{tool.title} {tool.version}", progress)
        (place / _MARK).touch()
