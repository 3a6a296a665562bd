"""node_modules for a platform that may not be this one: by npm, without running what a package would run at its installation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiculturekit import installers, threads
from aiculturekit.errors import BuildFailed
from aiculturekit.images.facts import Package
from aiculturekit.images.tars import Entry
from aiculturekit.language import say

_MACHINES = {"amd64": "x64", "arm64": "arm64"}
_MANIFESTS = ("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc")
_QUIET = ("--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


def installer(
    directory: Path, *, is_musl: bool, platform: str, progress: installers.Progress
) -> Callable[[Path], Awaitable[tuple[Sequence[Entry], Sequence[Package]]]]:
    """Installs what the manifests in `directory` say into a folder; nothing is left beside the code."""

    async def install(folder: Path) -> tuple[Sequence[Entry], Sequence[Package]]:
        npm = shutil.which("npm")
        if npm is None:
            raise BuildFailed(
                say("{manifest} needs npm, which is not installed", manifest="package.json"),
                hint=say("install Node.js, then run the command again"),
            )
        progress(say("installing the dependencies of {manifest}", manifest="package.json"))
        found = [name for name in _MANIFESTS if (directory / name).is_file()]
        for name in found:
            await threads.run(shutil.copyfile, directory / name, folder / name)
        is_locked = any("lock" in name or "shrinkwrap" in name for name in found)
        there = [
            f"--cpu={_MACHINES[platform.partition('/')[2]]}",
            "--os=linux",
            f"--libc={'musl' if is_musl else 'glibc'}",
        ]
        await installers.run([npm, "ci" if is_locked else "install", *_QUIET, *there], folder, "package.json", progress)
        return await threads.run(_found, folder / "node_modules")

    return install


def _found(modules: Path) -> tuple[list[Entry], list[Package]]:
    entries, packages = [], []
    for path in sorted(modules.rglob("*")):
        name = f"app/node_modules/{path.relative_to(modules)}"
        if path.is_symlink():
            entries.append(Entry(name, "link", str(path.readlink())))
        elif path.is_file() and path != modules / ".package-lock.json":
            entries.append(Entry(name, "file", path, bool(path.stat().st_mode & 0o100)))
            packages += [found] if path.name == "package.json" and (found := _package(path)) else []
    return entries, packages


def _package(file: Path) -> Package | None:
    """Of a folder that stands where a package stands; others use the same file name for their own ends."""
    above = file.parent.parent
    if above.name != "node_modules" and not (above.name.startswith("@") and above.parent.name == "node_modules"):
        return None
    try:
        said = json.loads(file.read_bytes())
        license = said.get("license")
        return Package(
            "npm", str(said["name"]), str(said["version"]), license=license if isinstance(license, str) else ""
        )
    except (ValueError, KeyError, AttributeError):
        return None
