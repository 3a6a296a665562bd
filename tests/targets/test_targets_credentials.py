"""Who is given which password: one for each workload, overlapping while they are exchanged, the same after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit import state
from aiculturekit.locator import Locator
from aiculturekit.resources.servers import Verb
from aiculturekit.state.databases import Database
from aiculturekit.targets.local.credentials import Credentials

USERS: list[tuple[str, Verb]] = [("web", "write"), ("report", "read")]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return state.open(Locator("sqlite", path=f"/{tmp_path / 'state.db'}").reveal())


async def opened(database: Database) -> Credentials:
    found = Credentials(database)
    await found.open()
    return found


async def test_each_workload_has_one_of_its_own_and_keeps_it(database: Database) -> None:
    credentials = await opened(database)
    first = await credentials.ensure("shop", "users-db", USERS)
    assert {(one.workload, one.verb, one.user) for one in first} == {
        ("web", "write", "web"),
        ("report", "read", "report"),
    }
    assert len({one.password for one in first}) == 2
    assert await credentials.ensure("shop", "users-db", USERS) == first
    assert await (await opened(database)).ensure("shop", "users-db", USERS) == first, "on disk"
    assert (await credentials.ensure("shop", "orders-db", USERS))[0].password != first[0].password


async def test_who_does_not_need_it_has_none(database: Database) -> None:
    credentials = await opened(database)
    await credentials.ensure("shop", "users-db", USERS)
    assert [one.workload for one in await credentials.ensure("shop", "users-db", USERS[:1])] == ["web"]
    assert credentials.newest("shop", "users-db", "stranger", verb="read") is None


async def test_while_a_verb_changes_the_stronger_one_holds(database: Database) -> None:
    credentials = await opened(database)
    both: list[tuple[str, Verb]] = [("web", "read"), ("web", "admin"), ("web", "write")]
    for users in (both, both[::-1]):
        assert [one.verb for one in await credentials.ensure("shop", "users-db", users)] == ["admin"]


async def test_two_are_valid_until_the_old_one_is_given_up(database: Database) -> None:
    credentials = await opened(database)
    await credentials.ensure("shop", "users-db", USERS)
    await credentials.add("shop", "users-db", "web")
    valid = await credentials.ensure("shop", "users-db", USERS)
    assert sorted(one.user for one in valid) == ["report", "web", "web~2"]
    newest = credentials.newest("shop", "users-db", "web", verb="write")
    assert newest is not None and newest.user == "web~2"
    await credentials.keep("shop", "users-db", ["web", "report"])
    assert sorted(one.user for one in await credentials.ensure("shop", "users-db", USERS)) == ["report", "web~2"]
    await credentials.add("shop", "users-db", "web")
    newest = credentials.newest("shop", "users-db", "web", verb="write")
    assert newest is not None and newest.user == "web~3", "a number is never given twice while its successor lives"


async def test_no_text_of_a_credential_shows_its_password(database: Database) -> None:
    credentials = await opened(database)
    for one in await credentials.ensure("shop", "users-db", USERS):
        assert one.password not in f"{one!r} {one}"
