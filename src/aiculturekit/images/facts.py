"""What a base image holds, read from its layers without running it: interpreters, a shell, the C library, the packages."""

from __future__ import annotations

import dataclasses
import gzip
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import IO, Any, cast

_INTERPRETER = re.compile(
    r"(?:usr/local/bin|usr/bin|bin|opt/[^/]+(?:/[^/]+)?/bin)/(python3\.\d+|node|sh|bash|ash|dash)"
)
_LISTS = re.compile(
    r"var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|(?:usr/)?lib/apk/db/installed|(?:usr/lib|etc)/os-release|"
    r".*/(?:site|dist)-packages/[^/]+\.dist-info/METADATA"
)
_MUSL = re.compile(r"(?:usr/)?lib/ld-musl-[^/]+")
_LARGEST = 32 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """One installed package, with its manager's name for its kind (`deb`, `apk`, `pypi`, `npm`)."""

    kind: str
    name: str
    version: str
    architecture: str = ""
    license: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """`python` and `node` are paths of interpreters, or empty; `python_version` is `3.12`. `system` is os-release's ID and VERSION_ID."""

    python: str = ""
    python_version: str = ""
    node: str = ""
    has_shell: bool = False
    is_musl: bool = False
    system: tuple[str, str] = ("", "")
    packages: tuple[Package, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def facts(record: Mapping[str, Any]) -> Facts:
    """Back from `as_dict`."""
    packages = tuple(Package(**one) for one in record["packages"])
    return Facts(**{**record, "system": tuple(record["system"]), "packages": packages})


def read(layers: Iterable[Path]) -> Facts:
    """What remains when the layers lie over each other, the lowest first. Raises OSError or tarfile.TarError for what is no layer.
    Blocks."""
    names, texts = set[str](), dict[str, bytes]()
    for layer in layers:
        for name, content in _interesting(layer):
            if gone := _removed(name):
                names = {one for one in names if not (one == gone or one.startswith(f"{gone}/"))}
                texts = {one: text for one, text in texts.items() if not (one == gone or one.startswith(f"{gone}/"))}
            elif content is not None:
                texts[name] = content
            else:
                names.add(name)
    return _facts(names, {name: text.decode("utf-8", "replace") for name, text in texts.items()})


def _interesting(layer: Path) -> Iterator[tuple[str, bytes | None]]:
    with layer.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_packed else raw
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = member.name.removeprefix("./").strip("/")
                if _LISTS.fullmatch(name) and member.isreg() and member.size <= _LARGEST:
                    content = tar.extractfile(member)
                    yield name, content.read() if content else b""
                elif _removed(name) or _INTERPRETER.fullmatch(name) or _MUSL.fullmatch(name):
                    yield name, None


def _removed(name: str) -> str:
    """What a whiteout takes away: a name, or all that a folder held before."""
    folder, _, last = name.rpartition("/")
    if last == ".wh..wh..opq":
        return folder
    return f"{folder}/{last[4:]}".strip("/") if last.startswith(".wh.") else ""


def _facts(names: set[str], texts: Mapping[str, str]) -> Facts:
    pythons = sorted((name for name in names if "/python3." in name), key=_worth)
    nodes = sorted((name for name in names if name.endswith("/node")), key=_worth)
    release = texts.get("etc/os-release") or texts.get("usr/lib/os-release", "")
    return Facts(
        python=f"/{pythons[0]}" if pythons else "",
        python_version=pythons[0].rpartition("/python")[2] if pythons else "",
        node=f"/{nodes[0]}" if nodes else "",
        has_shell=bool({"bin/sh", "usr/bin/sh"} & names),
        is_musl=any(_MUSL.fullmatch(name) for name in names),
        system=(_value(release, "ID"), _value(release, "VERSION_ID")),
        packages=tuple(sorted(_packages(texts), key=lambda one: (one.kind, one.name, one.version))),
    )


def _worth(name: str) -> tuple[bool, list[int]]:
    """An image's own interpreter stands in /usr/local; of several the newest counts."""
    return not name.startswith("usr/local/"), [-int(number) for number in re.findall(r"\d+", name.rpartition("/")[2])]


def _value(release: str, key: str) -> str:
    found = re.search(rf'^{key}="?([^"\n]*)"?$', release, re.M)
    return found[1] if found else ""


def _packages(texts: Mapping[str, str]) -> Iterator[Package]:
    for name, text in texts.items():
        if name.startswith("var/lib/dpkg/status"):
            yield from _debian(text)
        elif name.endswith("lib/apk/db/installed"):
            yield from _alpine(text)
        elif name.endswith("/METADATA"):
            yield python(text)


def python(text: str) -> Package:
    """A distribution's METADATA."""
    said = HeaderParser().parsestr(text)
    written = said.get("License-Expression") or said.get("License") or ""
    return Package("pypi", said.get("Name", ""), said.get("Version", ""), license=written.strip())


def _debian(text: str) -> Iterator[Package]:
    for paragraph in re.split(r"\n\s*\n", text):
        said = dict(re.findall(r"^(Package|Version|Architecture|Status): *(.*)$", paragraph, re.M))
        if (
            said.get("Package")
            and said.get("Status", "installed").endswith("installed")
            and "not-installed" not in said.get("Status", "")
        ):
            yield Package("deb", said["Package"], said.get("Version", ""), said.get("Architecture", ""))


def _alpine(text: str) -> Iterator[Package]:
    for paragraph in text.split("\n\n"):
        said = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if said.get("P"):
            yield Package("apk", said["P"], said.get("V", ""), said.get("A", ""), said.get("L", ""))
