"""How many files Envoy may watch. It takes one inotify instance for each file that it follows, six whatever the size of the mesh; Linux
gives a user 128 by default, which other programs may have used up."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
RESERVE = 16
"""Instances left to everybody else of this user: editors, desktops."""
ADVICE = "sudo sysctl fs.inotify.max_user_instances=8192"


def limit() -> int | None:
    """Instances that this user may have; None where there is no such limit."""
    try:
        return int(LIMIT.read_text())
    except (OSError, ValueError):
        return None


def check(count: int) -> None:
    """Raises HostTrouble before anything is touched when following `count` files is more than this machine allows."""
    allowed = limit()
    if allowed is not None and count > allowed - RESERVE:
        raise HostTrouble(
            say(
                "the mesh needs to watch {count} files, and this machine lets a user watch {allowed}",
                count=count,
                allowed=allowed,
            ),
            hint=ADVICE,
        )
