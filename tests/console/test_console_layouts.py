from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.console.layouts import HEIGHT, WIDTH, drawing


def graph(names: list[str], links: list[tuple[str, str]]) -> dict[str, Any]:
    return {"nodes": [{"id": n} for n in names], "edges": [{"source": a, "target": b} for a, b in links]}


def test_calls_go_from_left_to_right() -> None:
    made = drawing(graph(["db", "web", "ingress", "orders"], [("ingress", "web"), ("web", "orders"), ("orders", "db")]))
    x = {node["id"]: node["x"] for node in made.nodes}
    assert x["ingress"] < x["web"] < x["orders"] < x["db"]


def test_an_edge_starts_and_ends_at_its_nodes() -> None:
    made = drawing(graph(["a", "b"], [("a", "b")]))
    a, b = made.nodes
    numbers = [int(text) for text in re.findall(r"-?\d+", made.edges[0]["d"])]
    assert numbers[:2] == [a["x"] + WIDTH, a["y"] + HEIGHT // 2]
    assert numbers[-2:] == [b["x"], b["y"] + HEIGHT // 2]


def test_an_edge_to_nowhere_is_left_out_and_nothing_is_a_drawing() -> None:
    assert drawing(graph(["a"], [("a", "gone")])).edges == ()
    assert drawing(graph([], [])).nodes == ()


@given(
    count=st.integers(1, 12),
    links=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40),
)
def test_whatever_calls_whatever_no_two_nodes_overlap(count: int, links: list[tuple[int, int]]) -> None:
    names = [f"n{at}" for at in range(count)]
    made = drawing(graph(names, [(f"n{a % count}", f"n{b % count}") for a, b in links]))
    places = [(node["x"], node["y"]) for node in made.nodes]
    for at, (x, y) in enumerate(places):
        assert 0 <= x <= made.width - WIDTH and 0 <= y <= made.height - HEIGHT
        assert not any(abs(x - u) < WIDTH and abs(y - v) < HEIGHT for u, v in places[at + 1 :])
