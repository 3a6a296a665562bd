"""A workload's command as the shell gets it. Pure."""

from __future__ import annotations

import re

_COMPOUND = re.compile(r"[;&|<>()`\n{}]|^\s*\w+=")
# fmt: off
_BUILT_IN = frozenset([
    "!", ".", "[", "alias", "bg", "break", "case", "cd", "command", "continue", "echo", "eval", "exec", "exit", "export", "false", "fg",
    "for", "getopts", "hash", "if", "jobs", "kill", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "times",
    "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
])
# fmt: on


def command(text: str) -> str:
    """A simple command takes the shell's place, so that one process is one process; anything else stays as it is."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text if not first or _COMPOUND.search(text) or first in _BUILT_IN else f"exec {text}"
