"""A Python environment for an interpreter that stands in an image: wheels alone, for its version and platform. Nothing of them runs.

It stands at /opt/venv: a virtual environment is only a few links and a text file around its packages, so it can be made for a machine
that is not this one. `.pth` files and scripts work there, and the base's own packages do not get in the way.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiculturekit import installers, threads
from aiculturekit.errors import BuildFailed
from aiculturekit.images import contents, facts
from aiculturekit.images.facts import Facts, Package
from aiculturekit.images.tars import Entry
from aiculturekit.language import say

VENV = "opt/venv"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_UNWANTED = ("RECORD", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files of a .dist-info that tell of the machine where it was installed; RECORD is written anew."""


class Wheels:
    """The installations for one directory. Both answer with entries and the packages in them. Raises BuildFailed."""

    def __init__(
        self, directory: Path, *, facts: Facts, platform: str, progress: installers.Progress, has_manifests: bool = True
    ) -> None:
        self._has_manifests = has_manifests
        self._directory, self._facts, self._progress = directory, facts, progress
        libc = "musl" if facts.is_musl else "gnu"
        self._for, self._platform = platform, f"{_MACHINES[platform.partition('/')[2]]}-unknown-linux-{libc}"

    async def dependencies(self, folder: Path) -> tuple[Sequence[Entry], Sequence[Package]]:
        if not self._has_manifests:
            return _frame(self._facts), ()
        what = await self._listed(folder)
        self._progress(say("installing the dependencies of {manifest}", manifest=what.name))
        await self._install(folder / "site", ["-r", str(what)], what.name)
        return await self._environment(folder / "site", is_first=True)

    async def project(self, folder: Path) -> tuple[Sequence[Entry], Sequence[Package]]:
        """The project itself, built from a copy of what belongs into the image, so that nothing is left beside the code."""
        self._progress(say("building the project of {manifest}", manifest="pyproject.toml"))
        copy, wheels = folder / "copy", folder / "wheels"
        await threads.run(_copied, self._directory, copy)
        await self._run(["build", "--quiet", "--wheel", "--out-dir", str(wheels), str(copy)], "pyproject.toml")
        found = await threads.run(_named, wheels, "*.whl")
        await self._install(folder / "site", ["--no-deps", *found], "pyproject.toml")
        return await self._environment(folder / "site", is_first=False)

    async def _listed(self, folder: Path) -> Path:
        """The requirements: as written, or as uv.lock pins them."""
        written = await threads.run(_written, self._directory)
        if written.name != "uv.lock":
            return written
        pinned = folder / "uv.lock.txt"
        command = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "-o", str(pinned)]
        await self._run([*command, "--project", str(self._directory)], "uv.lock")
        return pinned

    async def _install(self, site: Path, what: Sequence[str], name: str) -> None:
        command = ["pip", "install", "--quiet", "--target", str(site), "--link-mode", "copy", "--no-build"]
        there = ["--python-version", self._facts.python_version, "--python-platform", self._platform]
        try:
            await self._run([*command, *there, *what], name)
        except BuildFailed as failed:
            if lacking := _lacking("\n".join(failed.tail), name):
                raise self._without_wheels(lacking, name, failed.tail) from failed
            raise

    def _without_wheels(self, lacking: Sequence[str], name: str, tail: Sequence[str]) -> BuildFailed:
        return BuildFailed(
            say(
                "{manifest}: {packages} has no wheel for {platform} and Python {version}, and nothing is compiled while an image is made",
                manifest=name,
                packages=", ".join(lacking),
                platform=self._for,
                version=self._facts.python_version,
            ),
            tail=list(tail),
            hint=say(
                "take a version or a package that has one, name a base with another Python, or build a wheel on such a machine"
                " and name its folder in the requirements: --find-links wheels"
            ),
        )

    async def _run(self, words: Sequence[str], name: str) -> None:
        uv = installers.uv()
        if uv is None:
            raise BuildFailed(
                say("{manifest} needs uv, which is not installed", manifest=name),
                hint=say("install it: pip install uv"),
            )
        await installers.run([uv, *words], self._directory, name, self._progress)

    async def _environment(self, site: Path, *, is_first: bool) -> tuple[Sequence[Entry], Sequence[Package]]:
        frame = _frame(self._facts) if is_first else []
        entries = await threads.run(_entries, site, f"{VENV}/lib/python{self._facts.python_version}/site-packages")
        return [*frame, *entries], await threads.run(_packages, site)


def _lacking(text: str, name: str) -> list[str]:
    """The packages of which uv says that they are there, though not as a wheel for this interpreter and platform."""
    found = re.findall(r"Wheels are (?:required|available) for `([^`]+)`", text)
    found += re.findall(r"([\w.-]+?)(?:==\S+)? has no (?:usable )?wheels", text)
    is_own = "incompatible with the current platform" in text  # the project itself was built, for this machine
    return list(dict.fromkeys([*found, *([name] if is_own else [])]))


def _written(directory: Path) -> Path:
    """The file that decides what is installed."""
    known = (directory / name for name in ("requirements.txt", "uv.lock", "pyproject.toml"))
    return next(file for file in known if file.is_file())


def _packages(site: Path) -> list[Package]:
    return [facts.python(Path(file).read_text("utf-8", "replace")) for file in _named(site, "*.dist-info/METADATA")]


def _named(folder: Path, pattern: str) -> list[str]:
    return sorted(str(file) for file in folder.glob(pattern))


def _frame(known: Facts) -> list[Entry]:
    """What makes a folder a virtual environment (PEP 405)."""
    home = known.python.rpartition("/")[0]
    text = f"home = {home}\ninclude-system-site-packages = false\nversion = {known.python_version}\n"
    links = {
        f"python{known.python_version}": known.python,
        "python3": f"python{known.python_version}",
        "python": "python3",
    }
    return [
        Entry(f"{VENV}/pyvenv.cfg", "file", text.encode()),
        *(Entry(f"{VENV}/bin/{name}", "link", target) for name, target in links.items()),
    ]


def _entries(site: Path, under: str) -> list[Entry]:
    """Packages under `under`, scripts beside the interpreter and led to it."""
    found = []
    for path in sorted(site.rglob("*")):
        place = path.relative_to(site)
        is_left_out = place.name in _UNWANTED and place.parent.suffix == ".dist-info"
        if path.is_dir() or is_left_out or "__pycache__" in place.parts or place.parts == (".lock",):
            continue
        is_executable = bool(path.stat().st_mode & 0o100)
        if place.parts[0] == "bin" and len(place.parts) == 2:
            found.append(Entry(f"{VENV}/{place}", "file", _script(path.read_bytes()), True))
        else:
            found.append(Entry(f"{under}/{place}", "file", path, is_executable))
    return [*found, *_records(site, under)]


def _script(content: bytes) -> bytes:
    """An installer names the interpreter that it found on this machine, in one line or in two for the shell."""
    interpreter = f"#!/{VENV}/bin/python\n".encode()
    return re.sub(rb"\A#!(?:/bin/sh\n'''exec' .*\n' '''|.*python.*)\n", interpreter, content)


def _records(site: Path, under: str) -> Iterator[Entry]:
    """RECORD says which files belong to a package; what was changed or left out here is changed there too."""
    for file in sorted(site.glob("*.dist-info/RECORD")):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.reader(lines) if row and Path(row[0]).name not in _UNWANTED[1:]]
        writer.writerows(sorted(_row(row, site) for row in rows))
        yield Entry(f"{under}/{file.relative_to(site)}", "file", text.getvalue().encode())


def _row(row: list[str], site: Path) -> list[str]:
    name = re.sub(r"^(\.\./)*bin/", "bin/", row[0])
    if not name.startswith("bin/") or not (site / name).is_file():
        return row
    content = _script((site / name).read_bytes())
    hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return [f"../../../{name}", f"sha256={hashed}", str(len(content))]


def _copied(directory: Path, copy: Path) -> None:
    for path in contents.paths(directory):
        target = copy / path.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
