"""The first lines of a file that we wrote: by them we know whether a hand changed it since. Pure."""

from __future__ import annotations

import hashlib
import re

_MARK = re.compile(r"^(?:#|//) Made by `aic ci [^\n]*\n(?:(?:#|//)[^\n]*\n)*?(?:#|//) content: ([0-9a-f]{16})\n")


def stamped(text: str, *, command: str, comment: str = "#") -> str:
    """The text under a head. `command` is what makes it anew."""
    head = (
        f"{comment} Made by `{command}`: make it anew when aic.yaml changes; `--check` says whether that is due.\n"
        f"{comment} Change it if you like: it is not overwritten then, unless you say --force.\n"
    )
    return f"{head}{comment} content: {_digest(text)}\n{text}"


def is_ours(text: str) -> bool:
    """Whether we wrote it at some time, changed or not."""
    return bool(_MARK.match(text))


def is_changed(text: str) -> bool:
    """Whether a hand changed it since we wrote it: so it is no file of ours, too."""
    found = _MARK.match(text)
    return not found or _digest(text[found.end() :]) != found[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()[:16]
