from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.control import places
from aiculturekit.engine.workloads import Instance, Key, State, Status, Workload


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(2, 2), (2, 2)], [1.0, 0.0]),
        ([(3, 4), (2, 2)], [1.0, 0.0]),
        ([(1, 2), (2, 2)], [0.7, 0.3]),
        ([(0, 2), (2, 2)], [0.0, 1.0]),
        ([(1, 2), (1, 10), (1, 1)], [0.7, 0.14, 0.16]),
        ([(1, 4), (1, 4)], [0.5, 0.5]),
        ([(0, 2), (1, 2)], [0.0, 1.0]),
        ([(0, 2), (0, 0)], [0.0, 0.0]),
    ],
)
def test_a_place_takes_1_4_times_its_healthy_share(counts: list[tuple[int, int]], expected: list[float]) -> None:
    assert places.shares(counts) == expected


@given(st.lists(st.integers(1, 9).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), max_size=6))
def test_everything_is_taken_while_one_replica_is_well(counts: list[tuple[int, int]]) -> None:
    found = places.shares(counts)
    assert sum(found) == pytest.approx(1.0 if any(ready for ready, _ in counts) else 0.0, abs=0.001)
    assert all(share == 0 for share, (ready, _) in zip(found, counts, strict=True) if ready == 0)


def replica(zone: str, state: State) -> Instance:
    return Instance("x", "r", 1, None, None, state, zone=zone)


def test_replicas_are_counted_where_they_stand() -> None:
    web = Workload(Key("shop", "web"), "x", Path(), "r", zones=("a", "b"))
    standing = (replica("a", "ready"), replica("a", "backoff"), replica("b", "ready"), replica("", "ready"))
    assert places.rows(Status(web, "ready", standing)) == [
        {"version": "v1", "zone": "a", "replicas": 2, "ready": 1, "share": 0.7},
        {"version": "v1", "zone": "b", "replicas": 1, "ready": 1, "share": 0.3},
    ]
    assert places.rows(Status(dataclasses.replace(web, zones=()), "ready", standing)) == places.rows(None) == []
