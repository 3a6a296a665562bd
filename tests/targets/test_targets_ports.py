"""Named ports over a real state database: who keeps one, and who gets another because somebody else has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest

from aiculturekit import state
from aiculturekit.locator import Locator
from aiculturekit.state.databases import Database
from aiculturekit.targets import nodes
from aiculturekit.targets.local import Ports

Others = Callable[[Mapping[str, int]], Collection[str]]
NAMES = ["shop/web/v1/in", "shop/web/out/db", "shop/web/proxy"]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return state.open(Locator("sqlite", path=f"/{tmp_path / 'state.db'}").reveal())


def counted(first: int = 20000) -> Callable[[set[int]], int]:
    numbers: Iterator[int] = itertools.count(first)
    return lambda taken: next(number for number in numbers if number not in taken)


def having(*stolen: int) -> Others:
    return lambda held: {name for name, port in held.items() if port in stolen}


async def ports(database: Database, *stolen: int) -> Ports:
    made = Ports(database=database, allocate=counted(), taken=having(*stolen))
    await made.open()
    return made


async def test_a_name_keeps_its_port(database: Database) -> None:
    first = dict(await (await ports(database)).ensure(NAMES))
    again = await ports(database)
    assert dict(await again.ensure(reversed(NAMES))) == first and again.moved == set()


async def test_what_others_took_meanwhile_is_given_up_and_said(database: Database) -> None:
    first = dict(await (await ports(database)).ensure(NAMES))
    stolen = first["shop/web/out/db"]
    later = await ports(database, stolen)
    now = dict(await later.ensure(NAMES))
    assert later.moved == {"shop/web/out/db"}
    assert now["shop/web/out/db"] not in first.values()
    assert {name: port for name, port in now.items() if name in NAMES and name != "shop/web/out/db"} == {
        name: port for name, port in first.items() if name != "shop/web/out/db"
    }
    assert dict(await (await ports(database, stolen)).ensure(NAMES)) == now, "the new one is on record"


async def test_a_name_in_use_is_not_looked_at_again_one_that_returns_is(database: Database) -> None:
    stolen: set[int] = set()
    made = Ports(database=database, allocate=counted(), taken=lambda held: having(*stolen)(held))
    await made.open()
    first = dict(await made.ensure(NAMES))
    stolen.add(first["shop/web/proxy"])
    assert dict(await made.ensure(NAMES)) == first, "the mesh itself holds it"
    await made.ensure([])
    assert (await made.ensure(NAMES))["shop/web/proxy"] not in first.values()
    assert made.moved == set(), "nobody was told the former one"


def test_whose_port_it_is_stands_in_its_name() -> None:
    assert nodes.caller_of(nodes.outbound("shop", "web", "db")) == ("shop", "web")
    assert nodes.caller_of(nodes.proxy("shop", "web")) == ("shop", "web")
    assert nodes.caller_of(nodes.inbound("shop", "web", "v1")) is None and nodes.caller_of("ingress") is None
    for name in (nodes.proxy("shop", "web"), nodes.outbound("shop", "web", "db")):
        assert nodes.is_in_sight(name, is_isolated=False) and not nodes.is_in_sight(name, is_isolated=True)
    assert nodes.is_in_sight(nodes.inbound("shop", "web", "v1"), is_isolated=True)
    assert not nodes.is_in_sight("ingress", is_isolated=False), "it has a rule of its own"
