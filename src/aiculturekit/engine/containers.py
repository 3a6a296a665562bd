"""A workload that comes as an image: a bundle of the OCI runtime specification, run by crun as one process among the engine's others.

crun stays in the foreground, in the workload's room: its output, its signals, its exit code and its end are the container's, and a later
daemon adopts it as it adopts any process. What runs has the least that it can have, the same as a pod under the `restricted` level: no
capability, no new privileges, no device, a file system that is read only but for /tmp, and a user who is not root.
(https://github.com/opencontainers/runtime-spec/blob/main/config.md)
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit.engine import syscalls
from aiculturekit.engine.workloads import Container, Mount
from aiculturekit.language import say

PROGRAM = "crun"
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath)}
"""The runtime's own; what runs in the container has what its workload has."""
_SCRATCH = ["nosuid", "nodev", "mode=1777", "size=512m"]
"""Its /tmp is memory; what is in it counts as the workload's own."""
_HIDDEN = ["acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"]
_FIXED = ["bus", "fs", "irq", "sys", "sysrq-trigger"]
_SEPARATE = ["pid", "ipc", "uts", "mount", "cgroup"]
"""The network is the room's, in which crun itself stands."""
_LONGEST = 20.0
_PORT = "$(PORT)"
"""As in a pod's arguments: for what reads no variable and has no shell."""


def obstacle() -> str | None:
    """Why no container can run here; None when it can."""
    if shutil.which(PROGRAM) is None:
        return say("crun, which runs images, is not installed")
    if platform.machine() not in syscalls.ARCHITECTURES:
        return say("images run on x86_64 and aarch64 only, and this machine is {machine}", machine=platform.machine())
    return None


class Bundle:
    """The bundle of one replica, below the platform's home. Every method blocks."""

    def __init__(self, home: Path, replica: str) -> None:
        self._home, self._replica = home, replica
        self._folder = _bundles(home) / replica

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def command(self) -> str:
        """For a shell."""
        return f"{self._crun} run --bundle {shlex.quote(str(self._folder))} {shlex.quote(self._replica)}"

    def inside(self, command: str) -> str:
        """For a shell: the command, run in the container."""
        return f"{self._crun} exec {shlex.quote(self._replica)} /bin/sh -c {shlex.quote(command)}"

    def write(self, container: Container, *, environment: Mapping[str, str], files: Mapping[str, Path]) -> None:
        """`files` stand in the place of the image's own. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / "config.json"
        file.touch(mode=0o600)  # it holds what the environment holds
        file.write_text(json.dumps(specification(container, environment=environment, files=files)))

    def remove(self) -> None:
        """End what is left of it, and forget it. Idempotent."""
        if (_states(self._home) / self._replica).exists():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    ["/bin/sh", "-c", f"{self._crun} delete --force {shlex.quote(self._replica)}"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_LONGEST,
                    check=False,
                )
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _crun(self) -> str:
        """The engine bounds a replica by a cgroup of its own, which what it starts inherits: crun makes none."""
        return f"{PROGRAM} --root {shlex.quote(str(_states(self._home)))} --cgroup-manager=disabled"


def clear(home: Path, *, keep: Collection[str]) -> None:
    """End every container of this home but those of these replicas. Blocks."""
    for folder in (_bundles(home), _states(home)):
        for left in folder.glob("*"):
            if left.name not in keep:
                Bundle(home, left.name).remove()


def _bundles(home: Path) -> Path:
    return home / "run" / "containers"


def _states(home: Path) -> Path:
    return home / "run" / "crun"


def specification(container: Container, *, environment: Mapping[str, str], files: Mapping[str, Path]) -> dict[str, Any]:
    """The bundle's config.json. Pure."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(container.root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {
                "uid": container.user,
                "gid": container.group,
                "additionalGids": list(container.groups),
                "umask": 0o22,
            },
            "args": [one.replace(_PORT, environment.get("PORT", "")) for one in container.arguments],
            "env": [f"{name}={value}" for name, value in sorted(environment.items())],
            "cwd": container.directory,
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "mounts": [*_SYSTEM, *(_bound(place, file) for place, file in files.items()), *_declared(container.mounts)],
        "linux": {
            "namespaces": [{"type": kind} for kind in _SEPARATE],
            "maskedPaths": [f"/proc/{name}" for name in _HIDDEN] + ["/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in _FIXED],
            "seccomp": syscalls.filtering(),
        },
    }


def _mount(place: str, kind: str, options: Sequence[str], source: str = "") -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": source or kind, "options": list(options)}


_STRICT = ["nosuid", "noexec", "nodev"]
_SYSTEM = [
    _mount("/proc", "proc", _STRICT),
    _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=64k"]),
    _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
    _mount("/dev/shm", "tmpfs", [*_STRICT, "mode=1777", "size=64m"]),  # noqa: S108
    _mount("/dev/mqueue", "mqueue", _STRICT),
    _mount("/sys", "sysfs", [*_STRICT, "ro"]),
    _mount("/tmp", "tmpfs", _SCRATCH),  # noqa: S108
]


def _bound(place: str, file: Path) -> dict[str, Any]:
    return _mount(place, "bind", ["bind", "ro", *_STRICT], str(file))


def _declared(mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    return [
        _mount(
            str(one.place),
            "bind",
            ["rbind", "ro" if one.is_read_only else "rw", "nosuid", "nodev"],
            str(one.place.resolve()),
        )
        for one in mounts
    ]
