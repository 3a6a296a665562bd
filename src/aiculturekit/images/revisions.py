"""Where code comes from, by git: the repository, and the last commit that changed this directory. Blocks.

Not the repository's last commit: an image would change with every commit that changes something else.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from aiculturekit.images.descriptors import REVISION, SOURCE

_DEADLINE = 10.0


def labels(directory: Path) -> dict[str, str]:
    """Nothing where there is no repository; no revision where the directory holds what nobody committed."""
    said = _git(directory, "status", "--porcelain", "--", ".")
    if said is None:
        return {}
    revision = _git(directory, "log", "-1", "--format=%H", "--", ".") if not said else ""
    source = _without_password((_git(directory, "config", "--get", "remote.origin.url") or "").strip())
    if not re.match(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:", source):  # a folder of this machine
        source = ""
    found = {SOURCE: source, REVISION: (revision or "").strip()}
    return {name: value for name, value in found.items() if value}


def _git(directory: Path, *words: str) -> str | None:
    """Its output; None when it fails, or is not there."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", str(directory), *words],
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _without_password(url: str) -> str:
    return re.sub(r"://[^/@]*@", "://", url)
