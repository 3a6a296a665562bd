"""Rows: what was measured, its value, and the peer's in the same run."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable
from typing import Any


class Missing(Exception):
    """A program that the benchmark needs is not installed; the text says how to get it."""


@dataclasses.dataclass(frozen=True)
class Row:
    """`ratio` is value / peer_value; `bar` says what is wanted, where something is."""

    what: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    bar: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer_value if self.peer_value else None

    def as_dict(self) -> dict[str, Any]:
        names = ("what", "value", "unit", "peer", "peer_value")
        return {name: getattr(self, name) for name in names} | {"ratio": self.ratio, "bar": self.bar}


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row.as_dict()), flush=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "value", "unit", "peer", "peer's value", "ratio", "wanted", box=None)
    for row in rows:
        peer = "" if row.peer_value is None else f"{row.peer_value:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.what, f"{row.value:,.2f}", row.unit, row.peer, peer, ratio, row.bar)
    Console(width=160).print(table)


def program(name: str, *, package: str) -> str:
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"{name} is not installed; on Debian: apt-get install {package}")
    return found
