"""Upper bounds for one replica: cgroups where they may be written, resource limits of the process everywhere.

A cgroup bounds memory and CPU of everything that a replica starts. Without one, memory is bounded by RLIMIT_DATA for each process (not
RLIMIT_AS: runtimes reserve address space that they never use), and CPU is not.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from aiculturekit.engine import host
from aiculturekit.engine.workloads import Limits
from aiculturekit.language import say

ROOT = Path("/sys/fs/cgroup")
_FILES = 65536


def prefix(limits: Limits, *, has_cgroup: bool) -> str:
    """Shell words to stand before the command."""
    words = ["ulimit -c 0", f"ulimit -n {_FILES} 2>/dev/null || ulimit -n $(ulimit -Hn)"]
    if limits.memory is not None and not has_cgroup:
        words.append(f"ulimit -d {limits.memory // 1024}")
    return "; ".join(words) + "; "


class Group:
    """The cgroup of one replica; made by `create`, where that is possible."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders

    @classmethod
    def create(cls, node: str, replica: str, *, limits: Limits) -> Group | None:
        """None where there is nothing to bound, or no cgroup may be written."""
        if limits == Limits() or not host.IS_LINUX:
            return None
        folders = (
            _unified(node, replica, limits) if (ROOT / "cgroup.controllers").exists() else _split(node, replica, limits)
        )
        return cls(folders) if folders else None

    @property
    def shell(self) -> str:
        """Shell words with which a process enters the cgroup before it becomes what it will be."""
        return "".join(f"echo $$ > '{folder}/cgroup.procs'; " for folder in self._folders)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process for exceeding the memory bound."""
        for folder in self._folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    words = (folder / name).read_text().split()
                    if "oom_kill" in words and words[words.index("oom_kill") + 1] != "0":
                        return True
        return False

    def remove(self) -> None:
        """Idempotent; a cgroup with processes in it stays (they are ended first)."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


def _unified(node: str, replica: str, limits: Limits) -> list[Path]:
    parent, folder = ROOT / f"aic-{node}", ROOT / f"aic-{node}" / replica
    try:
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text("+cpu +memory")
        folder.mkdir(exist_ok=True)
        if limits.memory is not None:
            (folder / "memory.max").write_text(str(limits.memory))
        if limits.cpu is not None:
            (folder / "cpu.max").write_text(f"{limits.cpu * 100} 100000")
    except OSError:
        return []
    return [folder]


def _split(node: str, replica: str, limits: Limits) -> list[Path]:
    """cgroup v1: one hierarchy for each controller."""
    wanted = []
    if limits.memory is not None:
        wanted.append(("memory", {"memory.limit_in_bytes": str(limits.memory)}))
    if limits.cpu is not None:
        wanted.append(("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(limits.cpu * 100)}))
    made = []
    for controller, files in wanted:
        folder = ROOT / controller / f"aic-{node}" / replica
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, value in files.items():
                (folder / name).write_text(value)
        except OSError:
            continue
        made.append(folder)
    return made


def is_enforced() -> bool:
    """Whether cgroups may be written here."""
    place = ROOT if (ROOT / "cgroup.controllers").exists() else ROOT / "memory"
    return host.IS_LINUX and place.is_dir() and os.access(place, os.W_OK)


def describe() -> str:
    """For people: what holds on this machine."""
    if is_enforced():
        return say("memory and CPU limits are enforced by cgroups")
    return say("no cgroup may be written here: memory limits hold for each process, CPU limits do not hold")
