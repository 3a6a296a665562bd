"""What is secret is not shown, wherever it stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiculturekit.spec import secrets

_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]+):([^@/\s]+)@")
_NAME = rf"""(?P<name>[\w.-]*(?:{secrets.NAMED})[\w.-]*)(?P<between>["']?[ \t]*:[ \t]+)"""
_SAID = re.compile(_NAME + r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\[[^\]]*\]|[^\s\[{|>#][^,}\]\n#]*)""", re.I)
"""A name that sounds secret and its value, in YAML or JSON; in quotation marks and brackets over several lines, too."""
_BLOCK = re.compile(
    rf"^(?P<indent>[ \t]*)(?P<item>-[ \t]+)?{_NAME}(?P<style>[|>][^\n]*)\n(?:(?P=indent)[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)+",
    re.I | re.M,
)
"""The same with the value in the lines below, as keys are written."""
HIDDEN = "••••••"


def mask(name: str, value: str) -> tuple[str, bool]:
    """The value as it may be shown, and whether something was hidden: what sounds secret, and passwords within URLs. A reference says
    where a secret is, and may be seen."""
    if secrets.is_one(value):
        return value, False
    if secrets.sounds(name) and value:
        return HIDDEN, True
    shown = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    return shown, shown != value


def text(given: str) -> str:
    """A file as it may be shown: the same, whatever is a comment in it or no longer parses."""
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", _SAID.sub(_hidden, _BLOCK.sub(_covered, given)))


def _covered(found: re.Match[str]) -> str:
    head = f"{found['indent']}{found['item'] or ''}{found['name']}{found['between']}{found['style']}"
    return f"{head}\n{found['indent']}  {HIDDEN}\n"


def _hidden(found: re.Match[str]) -> str:
    value = found["value"]
    is_told = secrets.is_one(value.strip().strip("\"'"))
    return found[0] if is_told else f"{found['name']}{found['between']}{HIDDEN}"


def within(value: Any, name: str = "") -> Any:
    """The same of everything that a file says."""
    if isinstance(value, Mapping):
        return {key: within(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [within(item, name) for item in value]
    return mask(name, value)[0] if isinstance(value, str) else value
