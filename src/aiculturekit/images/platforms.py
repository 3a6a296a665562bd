"""`linux/amd64` and `linux/arm64`: for which machines images are made."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from aiculturekit.errors import UsageError
from aiculturekit.language import say

PLATFORMS = ("linux/amd64", "linux/arm64")


def own() -> str:
    """This machine's; Linux also where this is macOS, which runs containers in a Linux."""
    return "linux/arm64" if platform.machine().lower() in ("arm64", "aarch64") else "linux/amd64"


def listed(words: Sequence[str]) -> tuple[str, ...]:
    """Each of `a,b` and `c`, once, in their order; whether they exist is not asked."""
    parts = (part.strip() for word in words for part in word.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def checked(text: str) -> str:
    """Raises UsageError."""
    if text not in PLATFORMS:
        raise UsageError(
            say("{platform} is no platform that images are made for", platform=repr(text[:60])),
            hint=say("there is {known}", known=", ".join(PLATFORMS)),
        )
    return text
