"""The topology as a drawing: layers from left to right, no two nodes on one spot. Pure.

Layers are longest paths from the callers' end (calls back are left out of account), the order within a layer follows the neighbours'
mean position (the barycentre method of Sugiyama, Tagawa and Toda, 1981).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 56, 64, 20, 16


@dataclasses.dataclass(frozen=True, slots=True)
class Drawing:
    """`nodes` with x, y (left top corner) and `edges` with an SVG path and the middle of it; `width` and `height` of the whole."""

    width: int
    height: int
    nodes: tuple[dict[str, Any], ...]
    edges: tuple[dict[str, Any], ...]


def drawing(graph: Mapping[str, Any]) -> Drawing:
    nodes: Sequence[Mapping[str, Any]] = graph["nodes"]
    known = {node["id"] for node in nodes}
    edges = [edge for edge in graph["edges"] if edge["source"] in known and edge["target"] in known]
    links = [(edge["source"], edge["target"]) for edge in edges]
    columns = _ordered(_layers([node["id"] for node in nodes], links), links)
    tallest = max((len(column) for column in columns), default=1)
    places = {
        name: (
            MARGIN + x * (WIDTH + GAP_X),
            MARGIN + y * (HEIGHT + GAP_Y) + (tallest - len(column)) * (HEIGHT + GAP_Y) // 2,
        )
        for x, column in enumerate(columns)
        for y, name in enumerate(column)
    }
    return Drawing(
        width=2 * MARGIN + len(columns) * WIDTH + max(0, len(columns) - 1) * GAP_X,
        height=2 * MARGIN + tallest * HEIGHT + max(0, tallest - 1) * GAP_Y,
        nodes=tuple({**node, "x": places[node["id"]][0], "y": places[node["id"]][1]} for node in nodes),
        edges=tuple({**edge, **_line(places[edge["source"]], places[edge["target"]])} for edge in edges),
    )


def _layers(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    forward = _without_cycles(names, links)
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for source, target in forward:
            depth[target] = max(depth[target], depth[source] + 1)
    return [[name for name in names if depth[name] == layer] for layer in range(max(depth.values(), default=0) + 1)]


def _without_cycles(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The links that do not lead back to where a walk from the front came from."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in links:
        following[source].append(target)
    kept: list[tuple[str, str]] = []
    done: set[str] = set()

    def walk(name: str, path: frozenset[str]) -> None:
        done.add(name)
        for target in following[name]:
            if target != name and target not in path:
                kept.append((name, target))
                if target not in done:
                    walk(target, path | {target})

    called = {target for _, target in links}
    for name in [*(name for name in names if name not in called), *names]:
        if name not in done:
            walk(name, frozenset({name}))
    return _acyclic(names, kept)


def _acyclic(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Links are taken in one by one; one that would close a cycle is left out."""
    reach: dict[str, set[str]] = {name: {name} for name in names}
    kept = []
    for source, target in links:
        if source in reach[target]:
            continue
        kept.append((source, target))
        for name in names:
            if source in reach[name]:
                reach[name] |= reach[target]
    return kept


def _ordered(columns: list[list[str]], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    for sweep in range(4):
        sequence = range(1, len(columns)) if sweep % 2 == 0 else range(len(columns) - 2, -1, -1)
        for at in sequence:
            beside = columns[at - 1] if sweep % 2 == 0 else columns[at + 1]
            position = {name: place for place, name in enumerate(beside)}
            columns[at] = sorted(columns[at], key=lambda name, p=position: _centre(name, p, links))  # type: ignore[misc]
    return columns


def _centre(name: str, position: Mapping[str, int], links: Sequence[tuple[str, str]]) -> float:
    near = [position[a] for a, b in links if b == name and a in position]
    near += [position[b] for a, b in links if a == name and b in position]
    return sum(near) / len(near) if near else len(position) / 2


def _line(source: tuple[int, int], target: tuple[int, int]) -> dict[str, Any]:
    """The path, and the spot beside which what is the matter with it is written."""
    forward = target[0] > source[0]
    x = (source[0] + WIDTH + target[0]) // 2
    y = (source[1] + target[1] + HEIGHT) // 2 if forward else max(source[1], target[1]) + HEIGHT + GAP_Y // 2
    return {"d": _curve(source, target), "mark_x": x, "mark_y": y}


def _curve(source: tuple[int, int], target: tuple[int, int]) -> str:
    """From the right side of one to the left side of the other; a call back bows below both."""
    x1, y1 = source[0] + WIDTH, source[1] + HEIGHT // 2
    x2, y2 = target[0], target[1] + HEIGHT // 2
    if x2 > x1:
        middle = (x1 + x2) // 2
        return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
    low = max(source[1], target[1]) + HEIGHT + GAP_Y // 2
    start = f"{source[0] + WIDTH // 2} {source[1] + HEIGHT}"
    end = f"{target[0] + WIDTH // 2} {target[1] + HEIGHT}"
    return f"M{start}C{source[0]} {low} {target[0] + WIDTH} {low} {end}"
