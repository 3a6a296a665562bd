"""An application file as text: sections as people write them, notes behind keys, what was lost at the end. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from aiculturekit.errors import Problem
from aiculturekit.language import say

_PLAIN = re.compile(r"[A-Za-z/_$][\w/.$@%+=:-]*(?: [\w/.$@%+=:-]+)*", re.ASCII)
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""Words that are no text for some reader of YAML."""


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """A value with a note behind it."""

    value: Any
    note: str


def written(app: str, sections: Mapping[str, Mapping[str, Any]], *, head: str, losses: Sequence[Problem]) -> str:
    """The whole file. `sections` holds name -> mapping, empty ones are left out; `head` becomes the first comment."""
    parts = [f"# {line}" for line in head.splitlines()] + [f"app: {scalar(app)}"]
    for section, entries in sections.items():
        if entries:
            parts += ["", f"{section}:", *_block(entries, 1, apart=section == "services")]
    if losses:
        parts += ["", f"# {say('Not carried over:')}", *_lost(losses)]
    return "\n".join(parts) + "\n"


def _lost(losses: Sequence[Problem]) -> Iterator[str]:
    for loss in losses:
        yield f"#   {loss.file}:{loss.line}: {loss.path}: {_one_line(loss.message)}"
        if loss.hint:
            yield f"#       {_one_line(loss.hint)}"


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _block(entries: Mapping[str, Any], depth: int, *, apart: bool = False) -> Iterator[str]:
    """A block mapping; `apart` puts an empty line between the entries."""
    for at, (key, value) in enumerate(entries.items()):
        if apart and at:
            yield ""
        plain, note = (value.value, value.note) if isinstance(value, Noted) else (value, "")
        start = f"{'  ' * depth}{scalar(str(key))}:"
        behind = f"  # {_one_line(note)}" if note else ""
        flowing = _flow(plain)
        if isinstance(plain, dict) and (depth == 1 or len(flowing) > 60 or key == "env") and plain:
            yield start + behind
            yield from _block(plain, depth + 1)
        elif isinstance(plain, list) and len(flowing) > 90:
            yield start + behind
            yield from (f"{'  ' * (depth + 1)}- {_flow(item)}" for item in plain)
        else:
            yield f"{start} {flowing}{behind}"


def _flow(value: Any) -> str:
    if isinstance(value, Noted):
        return _flow(value.value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else scalar(value)


def scalar(text: str) -> str:
    """The text as YAML, plain where every reader sees text in it."""
    is_plain = _PLAIN.fullmatch(text) and ": " not in text and not text.endswith(":") and text.lower() not in _WORDS
    if is_plain:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))).strip()
