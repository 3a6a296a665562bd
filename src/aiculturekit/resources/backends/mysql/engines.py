"""The MySQL and MariaDB servers that are installed on this machine: there is no package of them that could come with us."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from aiculturekit.errors import Mistake
from aiculturekit.language import say

PLACES = (
    "/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin",
    "/opt/homebrew/opt/mariadb/bin", "/opt/homebrew/opt/mysql/bin", "/opt/homebrew/opt/mysql@8.4/bin",
)  # fmt: skip
"""Where packages put them, which is often not in PATH."""
_SERVERS = ("mariadbd", "mysqld")
_VERSION = re.compile(r"Ver (\d+(?:\.\d+)+)")
_LEAST = {"MariaDB": (10, 6), "MySQL": (8, 0)}
_IN_IMAGES = (*(place.lstrip("/") for place in PLACES[:6]), "opt/bitnami/mariadb/sbin", "opt/bitnami/mysql/bin")
_INSTALLERS = {
    "brew": "brew install mariadb",
    "apt-get": "apt-get install mariadb-server-core mariadb-client",
    "dnf": "dnf install mariadb-server",
    "pacman": "pacman -S mariadb",
    "apk": "apk add mariadb mariadb-client",
}
"""Debian's package of the server alone starts no service of the system's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """A server's program. `title` is MariaDB or MySQL, `version` all of its number."""

    program: Path
    title: str
    version: str

    @property
    def is_mariadb(self) -> bool:
        return self.title == "MariaDB"

    @property
    def series(self) -> tuple[int, ...]:
        """What decides whether data fits: the first two parts."""
        return series(self.version)

    def __str__(self) -> str:
        return f"{self.title} {self.version}"


def series(version: str) -> tuple[int, ...]:
    """Nothing for a version that is not known."""
    return tuple(int(part) for part in version.split(".")[:2] if part)


def packaged(root: Path, variables: Mapping[str, str]) -> Engine:
    """The one in an image, which says its version in its variables or not at all; `program` is its path there. Blocks. Raises Mistake."""
    for name in _SERVERS:
        for place in _IN_IMAGES:
            if os.path.lexists(root / place / name):  # a link leads where it leads in the image
                title = "MariaDB" if name == "mariadbd" or "MARIADB_VERSION" in variables else "MySQL"
                found = re.search(r"\d+(?:\.\d+)+", variables.get(f"{title.upper()}_VERSION", ""))
                return Engine(Path("/", place, name), title, found[0] if found else "")
    raise Mistake(
        say("its image has no MariaDB and no MySQL"),
        hint=say("take one that has: mariadb:11.8, mysql:8.4"),
    )


def beside(root: Path, engine: Engine, *names: str) -> Path | None:
    """Another program of the same image, by its path there."""
    places = [engine.program.parent.relative_to("/"), *map(Path, _IN_IMAGES)]
    found = (place / name for name in names for place in places if os.path.lexists(root / place / name))
    return next((Path("/", path) for path in found), None)


def chosen(version: str | None) -> Engine:
    """The first that is installed and of this version (its first parts, or all). Blocks. Raises Mistake with what to install."""
    found = installed()
    if not found:
        raise Mistake(say("this machine has no MariaDB and no MySQL"), hint=_advice())
    for engine in found:
        if not version or f"{engine.version}.".startswith(f"{version}."):
            return engine
    raise Mistake(
        say("{title} {version} cannot be had here", title="MySQL", version=version or ""),
        hint=say("there is {known}; or name a server of yours with `url:`", known=", ".join(map(str, found))),
    )


def installed() -> list[Engine]:
    """Those that are new enough, MariaDB first. Blocks."""
    programs = {found.resolve() for name in _SERVERS if (found := program(name))}
    engines = [engine for path in sorted(programs) if (engine := _asked(path, path.stat().st_mtime_ns))]
    return [engine for engine in engines if engine.series >= _LEAST[engine.title]]


def program(*names: str) -> Path | None:
    """The first of these names that is installed, in PATH or where packages put it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)


@functools.lru_cache(maxsize=16)
def _asked(path: Path, _: int) -> Engine | None:
    """What the program says of itself, asked once for each content."""
    try:
        done = subprocess.run(
            [path, "--no-defaults", "--version"], check=False, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return Engine(path, "MariaDB" if "MariaDB" in done.stdout else "MySQL", found[1]) if found else None


def _advice() -> str:
    wanted = [
        line
        for tool, line in _INSTALLERS.items()
        if (sys.platform == "darwin") == (tool == "brew") and shutil.which(tool)
    ]
    return say(
        "install one (`{command}`), take an image of one (image: mariadb:11.8), or name a server of yours: url: mysql://USER:PASSWORD@HOST/NAME",
        command=wanted[0] if wanted else _INSTALLERS["brew" if sys.platform == "darwin" else "apt-get"],
    )
