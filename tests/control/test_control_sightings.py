"""What was called when, across restarts of the daemon and of Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiculturekit import state
from aiculturekit.control.sightings import GAP, Sightings, updated
from aiculturekit.mesh.figures import Growth, Sample
from aiculturekit.state.databases import Database

PLACE = ("shop", "web", "orders", "v1")
PAIR = ("shop", "web", "orders")
OUT = "out/shop/web/orders/v1.upstream_rq_completed"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = state.open(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    await opened.close()


def sample(calls: int, *, uptime: int = 10) -> Sample:
    return Sample(0.0, {OUT: calls, "server.uptime": uptime}, {})


def test_a_counter_that_moves_was_called() -> None:
    known = updated({}, {PLACE: Growth()}, now=100.0)
    assert (known[PAIR].since, known[PAIR].called_at) == (100.0, None)
    known = updated(known, {PLACE: Growth(requests=2, reads=2)}, now=200.0)
    assert (known[PAIR].called_at, known[PAIR].wrote_at) == (200.0, None)
    known = updated(known, {PLACE: Growth(requests=3, reads=2, writes=1)}, now=300.0)
    assert known[PAIR].wrote_at == 300.0
    assert updated(known, {PLACE: Growth(requests=3, reads=2, writes=1)}, now=400.0) == known


def test_a_fresh_envoy_is_no_call_until_it_counts() -> None:
    known = updated({}, {PLACE: Growth(requests=9)}, now=100.0)
    known = updated(known, {PLACE: Growth()}, now=200.0)
    assert known[PAIR].called_at == 100.0
    assert updated(known, {PLACE: Growth(requests=1)}, now=300.0)[PAIR].called_at == 300.0


def test_versions_count_together_and_the_platforms_own_look_at_a_tcp_port_is_no_call() -> None:
    v2 = (*PLACE[:3], "v2")
    known = updated({}, {PLACE: Growth(requests=1, writes=1), v2: Growth(requests=2, writes=1)}, now=1.0)
    assert (known[PAIR].calls, known[PAIR].writes) == (3, 1)
    tcp = ("shop", "web", "db", "")
    assert updated({}, {tcp: Growth(requests=1)}, now=1.0)["shop", "web", "db"].called_at is None
    assert updated({}, {tcp: Growth(requests=1, sent=9)}, now=1.0)["shop", "web", "db"].called_at == 1.0


def test_what_is_gone_is_forgotten() -> None:
    assert updated(updated({}, {PLACE: Growth()}, now=1.0), {}, now=2.0) == {}


async def reopened(database: Database) -> Sightings:
    made = Sightings(database)
    await made.open()
    return made


async def test_a_new_daemon_knows_what_the_one_before_saw(database: Database) -> None:
    first = await reopened(database)
    await first.note(sample(5), now=1000.0)
    second = await reopened(database)
    await second.note(sample(5, uptime=10**6), now=90_000.0)
    [known] = second.of("shop").values()
    assert (known.since, known.called_at) == (1000.0, 1000.0), "Envoy counted all the time, and nothing was called"
    await second.note(sample(6), now=90_010.0)
    assert second.of("shop")["web", "orders"].called_at == 90_010.0


async def test_what_changed_since_the_last_write_is_left_to_the_next_daemon(database: Database) -> None:
    first = await reopened(database)
    await first.note(Sample(0.0, {"server.uptime": 1}, {}), now=1000.0)
    await first.note(sample(0), now=1002.0)
    assert (await reopened(database)).of("shop"), "a new permission is written at once"
    await first.note(sample(3), now=1004.0)
    await first.close(now=1005.0)
    [known] = (await reopened(database)).of("shop").values()
    assert (known.since, known.called_at) == (1002.0, 1004.0)


async def test_a_daemon_that_noted_nothing_leaves_what_there_was(database: Database) -> None:
    await (await reopened(database)).note(sample(5), now=1000.0)
    await (await reopened(database)).close(now=2000.0)
    second = await reopened(database)
    assert second.of("shop")["web", "orders"].since == 1000.0


async def test_while_neither_was_there_nobody_watched(database: Database) -> None:
    await (await reopened(database)).note(sample(5), now=1000.0)
    later = 1000.0 + GAP + 1
    second = await reopened(database)
    await second.note(sample(0, uptime=1), now=later)
    [known] = second.of("shop").values()
    assert (known.since, known.called_at) == (later, 1000.0)


async def test_it_writes_seldom(database: Database) -> None:
    made = await reopened(database)
    writes = 0
    run = database.run

    async def counted(function: object, *args: object, **kwargs: object) -> object:
        nonlocal writes
        writes += 1
        return await run(function, *args, **kwargs)  # type: ignore[arg-type]

    database.run = counted  # type: ignore[method-assign, assignment]
    for second in range(600):
        await made.note(sample(second), now=1000.0 + second)
    assert writes <= 11
    quiet = writes
    for second in range(600):
        await made.note(sample(600), now=1600.0 + second)
    assert writes - quiet <= 4
