"""Going back to a snapshot on real folders, with servers that fail when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import Failed, HostTrouble, NotFound, Refused
from aiculturekit.plan.documents import Document
from aiculturekit.resources import copies
from aiculturekit.targets.local.snapshots import Snapshots

APP = "shop"
NAMES = ("books", "users")
DOCUMENTS = [
    document
    for name in NAMES
    for document in (
        Document("resource", name, {"type": "redis"}),
        Document("server", name, {"type": "redis", "users": []}),
    )
]


class Servers:
    """Engine and stores in one: they start and stop in a list, but for what a test forbids, and know what each was started on."""

    def __init__(self, home: Path) -> None:
        self.home, self.running, self.failing = home, set(NAMES), set[str]()
        self.seen: dict[str, str] = {}

    @contextlib.contextmanager
    def frozen(self, app: str) -> Iterator[None]:
        yield

    def statuses(self) -> list[Any]:
        return []

    def is_running(self, app: str, name: str) -> bool:
        return False

    async def stop(self, app: str, document: Document) -> None:
        self._fail("stop", document.name)
        self.running.discard(document.name)

    async def start(self, app: str, document: Document, **_: Any) -> None:
        self.seen[document.name] = read(self.home, document.name)
        self._fail(f"start-on-{self.seen[document.name]}", document.name)
        self.running.add(document.name)

    def _fail(self, what: str, name: str) -> None:
        if {f"{what} {name}", what} & self.failing:
            raise Failed(f"{what} {name}")


def read(home: Path, name: str) -> str:
    return (home / "data" / APP / name / "row").read_text()


def write(home: Path, text: str, *, app: str = APP) -> None:
    for name in NAMES:
        folder = home / "data" / app / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "row").write_text(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("aiculturekit.resources.places.server_uid", lambda: None)
    return tmp_path


@pytest.fixture
async def parts(home: Path) -> tuple[Snapshots, Servers]:
    servers: Any = Servers(home)
    snapshots = Snapshots(home=home, engine=servers, stores=servers)
    write(home, "then")
    await snapshots.save(APP, "first", documents=DOCUMENTS, release=1, tell=lambda *_: None)
    write(home, "now")
    return snapshots, servers


async def restore(snapshots: Snapshots, name: str = "first") -> str:
    aside = await snapshots.restore(APP, name, documents=DOCUMENTS, release=1, tell=lambda *_: None)
    return aside.name


def listed(home: Path) -> list[str]:
    return sorted(one.name for one in (home / "snapshots" / APP).iterdir())


async def test_what_a_restore_replaces_is_a_snapshot(parts: tuple[Snapshots, Servers], home: Path) -> None:
    snapshots, servers = parts
    aside = await restore(snapshots)
    assert servers.seen == {"books": "then", "users": "then"} and servers.running == set(NAMES)
    await restore(snapshots, aside)
    assert [read(home, name) for name in NAMES] == ["now", "now"]
    assert len(snapshots.of(APP)) == 3 == len(listed(home)), "two in the same second have names of their own"


@pytest.mark.parametrize("failing", ["stop users", "start-on-then users", "start-on-then books", "stop books"])
async def test_a_restore_that_fails_puts_everything_back(
    failing: str, parts: tuple[Snapshots, Servers], home: Path
) -> None:
    snapshots, servers = parts
    servers.failing = {failing}
    with pytest.raises(Failed):
        await restore(snapshots)
    assert [read(home, name) for name in NAMES] == ["now", "now"]
    assert servers.running == set(NAMES) and listed(home) == ["first"]


async def test_an_exchange_that_fails_puts_everything_back(
    parts: tuple[Snapshots, Servers], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, servers = parts
    whole = copies.exchange

    def exchange(one: Path, other: Path) -> None:
        if other.name == "users":
            raise HostTrouble("they can't change places")
        whole(one, other)

    monkeypatch.setattr(copies, "exchange", exchange)
    with pytest.raises(HostTrouble):
        await restore(snapshots)
    assert [read(home, name) for name in NAMES] == ["now", "now"]
    assert servers.running == set(NAMES) and listed(home) == ["first"]


async def test_what_cannot_be_put_back_is_kept_and_named(
    parts: tuple[Snapshots, Servers], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going forth works for the first and starting the second does not; then nothing can be exchanged any more."""
    snapshots, servers = parts
    servers.failing = {"start-on-then users"}
    whole, left = copies.exchange, iter(range(2))

    def exchange(one: Path, other: Path) -> None:
        if next(left, None) is None:
            raise HostTrouble("the disk is gone")
        whole(one, other)

    monkeypatch.setattr(copies, "exchange", exchange)
    with pytest.raises(Failed, match="could not be put back") as caught:
        await restore(snapshots)
    (kept,) = [one for one in snapshots.of(APP) if one.name != "first"]
    assert kept.name in caught.value.hint and set(kept.resources) == set(NAMES)
    assert {(snapshots.folder(APP, kept.name) / name / "row").read_text() for name in NAMES} == {"now"}


async def test_who_cancels_a_restore_gets_everything_back(
    parts: tuple[Snapshots, Servers], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, servers = parts
    started = asyncio.Event()

    async def start(app: str, document: Document, **_: Any) -> None:
        if read(home, document.name) == "then":
            started.set()
            await asyncio.sleep(3600)
        servers.running.add(document.name)

    monkeypatch.setattr(servers, "start", start)
    task = asyncio.create_task(restore(snapshots))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [read(home, name) for name in NAMES] == ["now", "now"] and servers.running == set(NAMES)
    assert listed(home) == ["first"]


async def test_a_daemon_that_is_killed_in_the_middle_leaves_a_snapshot(
    parts: tuple[Snapshots, Servers], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk holds while the first server starts is what a kill leaves: the old data under a name that is listed and is not swept."""
    snapshots, servers = parts

    async def start(app: str, document: Document, **_: Any) -> None:
        shutil.copytree(home, home.with_name("killed"))
        raise asyncio.CancelledError

    monkeypatch.setattr(servers, "start", start)
    with pytest.raises(asyncio.CancelledError):
        await restore(snapshots)
    left: Any = Servers(home.with_name("killed"))
    after = Snapshots(home=left.home, engine=left, stores=left)
    await after.save(APP, "second", documents=DOCUMENTS, release=1, tell=lambda *_: None)
    (aside,) = [one.name for one in after.of(APP) if one.name not in ("first", "second")]
    assert read(left.home, "books") == "then"
    assert (after.folder(APP, aside) / "books" / "row").read_text() == "now"


async def test_what_interrupted_saves_left_is_swept(parts: tuple[Snapshots, Servers], home: Path) -> None:
    snapshots, _ = parts
    (home / "snapshots" / APP / ".long-ago.new" / "books").mkdir(parents=True)
    (home / "snapshots" / "other" / ".theirs.new").mkdir(parents=True)
    await snapshots.save(APP, "second", documents=DOCUMENTS, release=1, tell=lambda *_: None)
    assert listed(home) == ["first", "second"]
    assert (home / "snapshots" / "other" / ".theirs.new").is_dir(), "one that works meanwhile is another's business"


async def test_data_is_placed_whole_or_not_at_all(
    parts: tuple[Snapshots, Servers], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, _ = parts
    whole = copies.tree

    def tree(source: Path, target: Path, **_: Any) -> None:
        whole(source, target)
        if source.name == "users":
            raise Failed("the disk is full")

    monkeypatch.setattr(copies, "tree", tree)
    with pytest.raises(Failed, match="full"):
        await snapshots.place("twin", "first", origin=APP)
    assert not [file for file in (home / "data" / "twin").rglob("*") if file.is_file()]
    monkeypatch.setattr(copies, "tree", whole)
    (home / "data" / "twin" / "books").mkdir(exist_ok=True)  # a first start made it, and nothing came of it
    await snapshots.place("twin", "first", origin=APP)
    assert {file.read_text() for file in (home / "data" / "twin").glob("*/row")} == {"then"}
    assert sorted(one.name for one in (home / "data" / "twin").iterdir()) == list(NAMES)
    with pytest.raises(Refused, match="has data already"):
        await snapshots.place("twin", "first", origin=APP)
    with pytest.raises(NotFound):
        await snapshots.place("third", "never", origin=APP)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_placed_data_belongs_to_who_runs_its_server(parts: tuple[Snapshots, Servers], home: Path) -> None:
    snapshots, _ = parts
    snapshots._uid = 65534
    for folder in (home, *home.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o001)
    file = home / "snapshots" / APP / "first" / "snapshot.json"
    about = json.loads(file.read_text())
    about["resources"]["users"]["type"] = "volume"
    file.write_text(json.dumps(about))
    await snapshots.place("twin", "first", origin=APP)
    owners = {file.parent.name: file.stat().st_uid for file in (home / "data" / "twin").glob("*/row")}
    assert owners == {"books": 65534, "users": 0}
