"""Small charts of days, as drawings: bars up for what succeeded and down for what did not, a line of times. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 120, 16
"""Of the drawing; the page stretches it to what it has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """`title` says in words what it is."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    day: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Bars:
    """`axis` is the height of zero; `most` and `least` the ends of the scale."""

    bars: tuple[Bar, ...]
    axis: float
    most: int
    least: int


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """`points` are (x, y, day, seconds); days without a value are passed over."""

    points: tuple[tuple[float, float, str, float], ...]
    most: float

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in self.points) if self.points else ""


def bars(days: Sequence[Mapping[str, Any]]) -> Bars:
    most = max((day["done"] for day in days), default=0)
    least = max((day["failed"] for day in days), default=0)
    room = HEIGHT - 2 * MARGIN
    unit = room / max(1, most + least)
    axis = MARGIN + most * unit
    step = WIDTH / max(1, len(days))
    gap = min(4.0, step / 4)
    found = []
    for at, day in enumerate(days):
        x, width = at * step + gap / 2, step - gap
        if day["done"]:
            found.append(Bar(x, axis - day["done"] * unit, width, day["done"] * unit, "done", day["day"], day["done"]))
        if day["failed"]:
            found.append(Bar(x, axis + 1, width, day["failed"] * unit, "failed", day["day"], day["failed"]))
    return Bars(tuple(found), axis, most, least)


def line(days: Sequence[Mapping[str, Any]]) -> Line:
    known = [(at, day) for at, day in enumerate(days) if day["seconds"] is not None]
    most = max((day["seconds"] for _, day in known), default=0.0)
    step = WIDTH / max(1, len(days))
    room = HEIGHT - 2 * MARGIN
    points = tuple(
        (
            (at + 0.5) * step,
            HEIGHT - MARGIN - room * (day["seconds"] / most if most else 0.0),
            day["day"],
            day["seconds"],
        )
        for at, day in known
    )
    return Line(points, most)
