"""What every place for backups promises: a folder, and an object store as a real one answers."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiculturekit.errors import AicError, Mistake, NotFound
from aiculturekit.locator import Locator
from aiculturekit.resources import places, shelves, tools
from aiculturekit.resources.shelves import Folder, Shelf, Store
from tests.resources.stages import credentials, stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
(ADMIN,) = credentials("admin")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with stage("s3", buckets=["kept"]) as played:
        played.start(ADMIN)
        given = played.given(ADMIN)
        environ = {"AWS_ACCESS_KEY_ID": given["key"], "AWS_SECRET_ACCESS_KEY": given["secret"]}
        where = Locator.parse(f"s3://kept/far/away?endpoint=http://127.0.0.1:{played.port}")
        yield Store(where, program=asyncio.run(_rclone()), environ=environ)


async def _rclone() -> Path:
    cache = places.cache(None)
    folder = await tools.ensure(shelves.RCLONE, cache=cache, is_reachable=lambda _: True, progress=lambda _: None)
    return folder / "rclone"


@pytest.fixture(params=["folder", "store"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return Folder(tmp_path / "shelf")
    found: Store = request.getfixturevalue("store")
    return found


def backup(folder: Path, name: str, *, at: str) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "data.tar.gz").write_bytes(b"\0\1" * 50_000 + name.encode())
    (made / shelves.ABOUT).write_text(json.dumps({"name": name, "created_at": at}))
    return made


async def test_what_is_put_is_listed_and_comes_back_whole(shelf: Shelf, tmp_path: Path) -> None:
    for name, at in (("b", "2026-01-02"), ("a", "2026-01-03")):
        await shelf.put(backup(tmp_path / "made", name, at=at))
    assert [about["name"] for about in await shelf.listed()] == ["a", "b"], "newest first"
    await shelf.get("b", tmp_path / "back")
    assert (tmp_path / "back" / "data.tar.gz").read_bytes().endswith(b"b")
    for name in ("a", "a", "b"):
        await shelf.remove(name)
    assert await shelf.listed() == []
    with pytest.raises(NotFound, match="'b'"):
        await shelf.get("b", tmp_path / "again")


async def test_an_empty_place_has_nothing(shelf: Shelf) -> None:
    assert await shelf.listed() == []


async def test_half_a_backup_is_none(tmp_path: Path) -> None:
    made = backup(tmp_path, "cut", at="2026-01-01")
    (made / shelves.ABOUT).unlink()
    assert await Folder(tmp_path).listed() == []


async def test_a_store_that_refuses_is_said_and_its_key_is_not(store: Store, tmp_path: Path) -> None:
    where = Locator.parse(f"s3://kept/x?endpoint={store.endpoint}")
    environ = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "a-wrong-secret-0123"}
    stranger = Store(where, program=await _rclone(), environ=environ)
    with pytest.raises(AicError) as caught:
        await stranger.put(backup(tmp_path, "never", at="2026-01-01"))
    assert "a-wrong-secret-0123" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://here/there", "s3://bucket?secret=x"])
def test_places_that_do_not_exist_are_refused(url: str) -> None:
    with pytest.raises(Mistake):
        shelves.opened(url, under=("shop", "books"), program=lambda: Path("rclone"))


async def test_two_resources_with_one_place_do_not_see_each_other(tmp_path: Path) -> None:
    url = (tmp_path / "shelf").as_uri()
    one, other = (shelves.opened(url, under=("shop", name), program=Path) for name in ("books", "users"))
    await one.put(backup(tmp_path / "made", "a", at="2026-01-02"))
    assert await other.listed() == []
    await other.remove("a")
    assert [about["name"] for about in await one.listed()] == ["a"]


async def test_a_log_grows_part_by_part_and_loses_those_that_nobody_needs(shelf: Shelf, tmp_path: Path) -> None:
    assert await shelf.logs() == [] == await shelf.parts("log-a")
    for log, names in (("log-a", ("1", "2")), ("log-b", ("9",)), ("log-a", ("2", "3"))):
        made = tmp_path / "made"
        made.mkdir()
        for name in names:
            (made / name).write_bytes(name.encode() * 10_000)
        await shelf.add(log, made)
        shutil.rmtree(made)
    assert await shelf.logs() == ["log-a", "log-b"] and await shelf.parts("log-a") == ["1", "2", "3"]
    assert await shelf.listed() == [], "a log is no backup"
    (tmp_path / "back").mkdir()
    await shelf.take("log-a", ["1", "3", "gone"], tmp_path / "back")
    assert {file.name: file.read_bytes() for file in (tmp_path / "back").iterdir()} == {
        name: name.encode() * 10_000 for name in "13"
    }
    await shelf.drop("log-a", ["1", "2", "never"])
    assert await shelf.parts("log-a") == ["3"]
    await shelf.drop("log-a", [])
    assert await shelf.parts("log-a") == ["3"], "nothing named is nothing gone"
    await shelf.drop("log-a", ["3"])
    assert await shelf.parts("log-a") == [] and await shelf.parts("log-b") == ["9"]
