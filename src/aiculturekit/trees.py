"""Which files of a directory are a workload's code: what is watched, fingerprinted, snapshotted and put into an image."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

IGNORED = (
    "aic.yaml",  # the application file says what runs; it is not the code that runs
    ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", "*.pyc", ".aic", ".aic-install.lock", "dist", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".idea", ".vscode", "*.log", "*.db", "*.db-wal", "*.db-shm", "*.sqlite", ".DS_Store", "*.swp", "*~",
)  # fmt: skip


def files(directory: Path) -> Iterator[Path]:
    """Every file of the tree that counts; links count as themselves and are not followed."""
    patterns = rules(directory)
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not is_ignored(name, patterns))
        yield from (Path(folder, name) for name in names if not is_ignored(name, patterns))


def rules(directory: Path) -> list[str]:
    """The names that do not count in this directory."""
    return [*IGNORED, *_own_rules(directory)]


def is_ignored(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _own_rules(directory: Path) -> list[str]:
    """Names and patterns of .aicignore and .gitignore; rules with a slash inside or a `!` are for git alone."""
    lines: list[str] = []
    for name in (".aicignore", ".gitignore"):
        file = directory / name
        if file.is_file():
            lines += file.read_text("utf-8", "replace").splitlines()
    stripped = (line.strip().strip("/") for line in lines)
    return [rule for rule in stripped if rule and "/" not in rule and rule[0] not in "#!"]
