"""What a shell shows: tables, steps, errors, JSON. Colours on a terminal only (and not with NO_COLOR)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from aiculturekit.errors import AicError
from aiculturekit.language import say

_COLOURS = {
    "ready": "green", "serving": "green", "done": "green", "current": "green", "ok": "green", "starting": "cyan", "pending": "cyan",
    "building": "cyan", "scheduled": "cyan", "unready": "yellow", "backoff": "yellow", "warning": "yellow", "degraded": "yellow",
    "undone": "yellow", "crash_loop": "red", "failed": "red", "error": "red", "down": "bright_black", "superseded": "bright_black",
}  # fmt: skip

_PROSE = ("reason", "message", "hint", "why", "text", "what")
_OPTIONAL = ("reason", "app")
"""Columns that fold where the terminal is narrow, and those that are left out when no row has anything to say in them."""


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_error(error: AicError) -> None:
    """`error: …` with the hint below it, on standard error."""
    from rich.console import Console
    from rich.text import Text

    text = Text("error: ", style="bold red") + Text(str(error), style="default")
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def print_table(columns: Sequence[tuple[str, str]], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """`columns` are (key, heading); a key that ends in > is right-aligned. `empty` is said when there is no row."""
    listed = list(rows)
    if not listed:
        print(empty)
        return
    console().print(table(columns, listed))


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Mapping[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    shown = [(key, heading) for key, heading in columns if key not in _OPTIONAL or any(row.get(key) for row in listed)]
    made = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
    for key, heading in shown:
        is_prose = key in _PROSE
        justify: Literal["left", "right"] = "right" if key.endswith(">") else "left"
        made.add_column(heading, justify=justify, overflow="fold" if is_prose else "ellipsis", no_wrap=not is_prose)
    for row in listed:
        cells = [cell(row.get(key.rstrip(">"))) for key, _ in shown]
        styles = ["bold" if at == 0 else _COLOURS.get(text, "") for at, text in enumerate(cells)]
        made.add_row(*(Text(text, style=style) for text, style in zip(cells, styles, strict=True)))
    return made


def cell(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def console() -> Any:
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, soft_wrap=True, width=240)  # a file has no edge to cut a table at


def size(value: int) -> str:
    """Bytes for people."""
    return f"{value / 2**20:,.1f} MB"


def memory(value: int | None) -> str | None:
    return None if value is None else f"{value / 2**20:,.0f} MB"


def workload_row(workload: Mapping[str, Any]) -> dict[str, Any]:
    """A workload view as a table shows it."""
    error_rate = workload.get("error_rate")
    return {
        **workload,
        "ready": f"{workload['ready']}/{workload['replicas']}",
        "memory": memory(workload.get("memory_bytes")),
        "rate": None if workload.get("rate") is None else f"{workload['rate']:,.1f}",
        "errors": None if error_rate is None else f"{error_rate:.2%}",
        "p95": None if workload.get("p95_ms") is None else f"{workload['p95_ms']:,.0f} ms",
    }


def workload_columns() -> list[tuple[str, str]]:
    return [
        ("name", say("workload")), ("version", say("version")), ("state", say("state")), ("ready>", say("ready")),
        ("restarts>", say("restarts")), ("rate>", say("req/s")), ("errors>", say("errors")), ("p95>", "p95"), ("memory>", say("memory")),
        ("reason", say("reason")),
    ]  # fmt: skip


def print_log(record: Mapping[str, Any], *, width: int = 16) -> None:
    """One log line: time, workload, text; errors in red."""
    from rich.text import Text

    style = {"error": "red", "warning": "yellow", "debug": "bright_black"}.get(record["level"], "")
    extra = "".join(f" {key}={value}" for key, value in record.get("fields", {}).items())
    line = Text(record["at"][11:23] + " ", style="bright_black") + Text(f"{record['workload']:<{width}} ", style="cyan")
    console().print(line + Text(record["message"] + extra, style=style), soft_wrap=True)
