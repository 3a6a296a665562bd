"""What a workload's code needs to run: its dependencies, installed once for each content of their manifest, offline afterwards.

    requirements.txt, pyproject.toml, uv.lock    a Python environment under the cache, shared by all with the same content
    package.json, package-lock.json              node_modules in the code's own directory: Node's ESM loader looks nowhere else

An environment is built where it will stay (its scripts name their interpreter by path), under a lock that other processes see too, and
marked complete last; one without the mark is built anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from aiculturekit import installers, threads
from aiculturekit.errors import BuildFailed, HostTrouble
from aiculturekit.language import say

Progress = Callable[[str], None]
_MARK = ".complete"


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """`variables` and `path` (folders to put first) make a command find what was installed; `digest` names the content."""

    variables: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    path: tuple[Path, ...] = ()
    digest: str = ""
    kind: Literal["python", "node", "none"] = "none"


async def prepare(directory: Path, *, cache: Path, progress: Progress) -> Environment:
    """The environment of the code in `directory`, built if it is not there. Raises BuildFailed with the last lines, or HostTrouble."""
    python, node = _python_manifests(directory), _node_manifests(directory)
    try:
        if python:
            return await _python(directory, python, cache, progress)
        if node:
            return await _node(directory, node, progress)
    except OSError as error:
        raise HostTrouble(
            say("the environment of {directory} can't be written: {error}", directory=directory, error=str(error)),
            hint=say("free some space, or mend the permissions; `aic doctor` checks both"),
        ) from error
    return Environment()


def _python_manifests(directory: Path) -> list[Path]:
    names = ("requirements.txt", "pyproject.toml", "uv.lock")
    found = [directory / name for name in names if (directory / name).is_file()]
    has_project = any(file.name == "requirements.txt" for file in found) or _is_project(directory)
    return found if has_project else []


def _is_project(directory: Path) -> bool:
    """A pyproject.toml that only configures tools installs nothing."""
    file = directory / "pyproject.toml"
    return file.is_file() and "[project]" in file.read_text("utf-8", "replace")


def _node_manifests(directory: Path) -> list[Path]:
    names = ("package.json", "package-lock.json", "npm-shrinkwrap.json")
    found = [directory / name for name in names if (directory / name).is_file()]
    return found if (directory / "package.json").is_file() else []


def _digest(files: Sequence[Path], *more: str) -> str:
    digest = hashlib.sha256("\0".join([sys.version, platform.machine(), sys.platform, *more]).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


async def _python(directory: Path, manifests: Sequence[Path], cache: Path, progress: Progress) -> Environment:
    is_local = manifests[0].name != "requirements.txt"
    digest = _digest(manifests, str(directory) if is_local else "")
    folder = cache / digest
    made = Environment({"VIRTUAL_ENV": str(folder), "PYTHONUNBUFFERED": "1"}, (folder / "bin",), digest, "python")
    if (folder / _MARK).exists():
        return made
    await threads.run(cache.mkdir, parents=True, exist_ok=True)
    async with installers.locked(cache / f"{digest}.lock"):
        if not (folder / _MARK).exists():
            progress(say("installing the dependencies of {manifest}", manifest=manifests[0].name))
            await threads.run(shutil.rmtree, folder, ignore_errors=True)
            await _install_python(directory, manifests, folder, progress)
            (folder / _MARK).touch()
    return made


async def _install_python(directory: Path, manifests: Sequence[Path], folder: Path, progress: Progress) -> None:
    python = getattr(sys, "_base_executable", sys.executable)
    uv = installers.uv()
    requirements = directory / "requirements.txt"
    what = ["-r", str(requirements)] if requirements.is_file() else ["-e", str(directory)]
    if uv is not None:
        await installers.run(
            [uv, "venv", "--quiet", "--python", python, str(folder)], directory, str(manifests[0]), progress
        )
        install = [uv, "pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python"), *what]
    else:
        await installers.run([python, "-m", "venv", str(folder)], directory, str(manifests[0]), progress)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", *what]
    await installers.run(install, directory, str(manifests[0]), progress)


async def _node(directory: Path, manifests: Sequence[Path], progress: Progress) -> Environment:
    modules = directory / "node_modules"
    made = Environment({}, (modules / ".bin",), _digest(manifests), "node")
    mark = modules / f"{_MARK}-{made.digest}"
    if mark.exists():
        return made
    async with installers.locked(directory / ".aic-install.lock"):
        if not mark.exists():
            npm = shutil.which("npm")
            if npm is None:
                raise BuildFailed(
                    say("{manifest} needs npm, which is not installed", manifest=manifests[0]),
                    hint=say("install Node.js, then run the command again"),
                )
            progress(say("installing the dependencies of {manifest}", manifest="package.json"))
            verb = "ci" if len(manifests) > 1 else "install"
            await installers.run(
                [npm, verb, "--no-audit", "--no-fund", "--loglevel=error"], directory, str(manifests[0]), progress
            )
            await threads.run(modules.mkdir, exist_ok=True)
            # npm may have written the lock file only now: what counts is the content that the next start will find.
            made = dataclasses.replace(made, digest=_digest(_node_manifests(directory)))
            (modules / f"{_MARK}-{made.digest}").touch()
    return made


def prune(cache: Path, *, keep: set[str]) -> list[str]:
    """Remove environments whose digest is not in `keep`; answers their digests. Blocks."""
    gone = [folder.name for folder in cache.glob("*") if folder.is_dir() and folder.name not in keep]
    for name in gone:
        shutil.rmtree(cache / name, ignore_errors=True)
    return gone
