"""A workload of another tool in between: what it runs, its variables, its neighbours, before all are known. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiculturekit.errors import Problem
from aiculturekit.spec import units
from aiculturekit.spec.importers.readings import Line


def loss(path: str, message: str, hint: str = "", *, at: Line) -> Problem:
    return Problem(path, message, hint, file=at[0], line=at[1])


def duration(text: object) -> str | None:
    """`1m30s` as one quantity that the file knows; None where it is none."""
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    if not found or "".join(a + b for a, b in found) != str(text).strip():
        return None
    seconds = sum(units.duration(amount + unit) for amount, unit in found)
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def memory(text: object) -> str | None:
    """`512m`, `1gb`, `256Mi` -> `512Mi`, as compose counts; None where it is no amount."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(text).strip(), re.I)
    if not found:
        return None
    written = f"{found[1]}{found[2].upper()}{'i' if found[2] else ''}"
    try:
        units.memory(written)
    except ValueError:
        return None
    return written


def cpu(text: object) -> str | None:
    try:
        return f"{units.cpu(text)}m"
    except ValueError:
        return None


def with_port(command: str, ports: list[str]) -> str:
    """The command with its fixed port as `$PORT`, which the platform picks."""
    for port in ports:
        command = re.sub(rf"(?<![\d.$])(?<!\$){port}(?![\d.])", "$PORT", command)
    return command


def kept(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    return {key: value for key, value in entry.items() if value not in (None, "", [], {}, ())}
