"""One suite for the state database, over every registered scheme; PostgreSQL is a real server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from aiculturekit import state
from aiculturekit.errors import Busy, NotFound, Unreachable
from aiculturekit.locator import Locator
from aiculturekit.registry import STATE
from aiculturekit.state import changes, deploys, documents, operations, ports, releases, replicas, settings, terms
from aiculturekit.state.databases import Database
from aiculturekit.state.operations import StepRecord
from aiculturekit.state.schema import operation_steps

SCHEMES = ("memory", "sqlite", "postgresql")
AWKWARD = "ünïcode 中文 'quote' \"double\" %s {x} \\ \U0001f680\n"
_schemas = itertools.count(1)


def test_the_suite_covers_every_registered_scheme() -> None:
    assert sorted(SCHEMES) == sorted(STATE.schemes)


@pytest.fixture(params=SCHEMES)
def locator(request: pytest.FixtureRequest, tmp_path: Path) -> Locator:
    if request.param == "memory":
        return Locator.parse("memory://")
    if request.param == "sqlite":
        return Locator("sqlite", path=f"/{tmp_path / 'a folder' / 'state.db'}")
    server = request.getfixturevalue("postgresql")
    return Locator(
        "postgresql",
        hosts=(("127.0.0.1", server.port),),
        path="/postgres",
        username="aic",
        password="p@ss/w:rd?#%",
        options={"schema": f"contract_{next(_schemas)}"},
    )


@pytest.fixture
async def database(locator: Locator) -> AsyncIterator[Database]:
    opened = await asyncio.to_thread(state.open, locator)
    yield opened
    await opened.close()


@pytest.fixture
async def reopen(locator: Locator, database: Database) -> AsyncIterator[Callable[[], Any]]:
    """Another connection to the same database, as another process would have it; not for memory."""
    if locator.scheme == "memory":
        pytest.skip("what is in memory belongs to one process")
    opened: list[Database] = []

    async def reopened() -> Database:
        opened.append(await asyncio.to_thread(state.open, locator.reveal()))
        return opened[-1]

    yield reopened
    for each in opened:
        await each.close()


def document(name: str, *, kind: str = "workload", **body: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "body": body}


def step(name: str, *, action: str = "create") -> dict[str, Any]:
    return {"action": action, "kind": "workload", "name": name, "why": "new", "path": f"services.{name}"}


def release(number: int = 0, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "environment": "local",
        "author": "ada",
        "reason": f"reason {number}",
        "file": "/tmp/aic.yaml",
        "text": f"app: shop # {number}",
        "documents": [document("web", number=number)],
        "steps": [step("web")],
        "sources": {"/code": f"digest-{number}"},
        "now": 1000.25 + number,
    }
    return values | changed


def deployed(at: float, **changed: Any) -> deploys.Deploy:
    values: dict[str, Any] = {
        "app": "shop",
        "environment": "prod",
        "target": "kubernetes://prod/shop",
        "verb": "deploy",
        "author": "ada",
        "release": 1,
        "started_at": at - 9.0,
        "finished_at": at,
        "outcome": "done",
    }
    return deploys.Deploy(**values | changed)


def operation(**changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "app": "shop",
        "verb": "up",
        "author": "ada",
        "release": 1,
        "wanted": [document("web", env={"A": AWKWARD})],
        "before": [document("old")],
        "steps": [step("web"), step("old", action="delete")],
        "now": 1000.125,
    }
    return values | changed


def record(identifier: str, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": identifier,
        "app": "shop",
        "name": "web",
        "version": "v1",
        "revision": "abc",
        "release": 1,
        "pid": 4_194_303,
        "created": 1732450000.1234567,
        "port": 65535,
        "log": "/tmp/web.log",
        "has_served": False,
        "workload": {"command": "python app.py", "environment": {"A": AWKWARD}, "replicas": 2, "schedule": None},
    }
    return values | changed


def change(number: int, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "at": 1000.5 + number,
        "app": "shop",
        "workload": "web",
        "kind": "ready",
        "message": f"number {number}",
        "level": "info",
        "author": "",
    }
    return values | changed


class TestTransactions:
    async def test_what_raises_leaves_nothing(self, database: Database) -> None:
        def half(connection: Connection) -> None:
            settings.put(connection, "a", value="1")
            documents.put(connection, "shop", document=document("web"))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await database.run(half)
        assert await database.run(settings.get, "a") is None
        assert await database.run(documents.apps) == []

    async def test_a_broken_rule_is_seen_as_the_bug_it_is_and_undone(self, database: Database) -> None:
        def clash(connection: Connection) -> None:
            settings.put(connection, "a", value="1")
            ports.hold(connection, "one", port=8080)
            ports.hold(connection, "two", port=8080)

        with pytest.raises(IntegrityError):
            await database.run(clash)
        assert await database.run(settings.get, "a") is None
        await database.run(settings.put, "a", value="2")

    async def test_they_run_one_at_a_time(self, database: Database) -> None:
        await database.run(settings.put, "count", value="0")
        await asyncio.gather(*(database.run(_count_up) for _ in range(20)))
        assert await database.run(settings.get, "count") == "20"

    async def test_they_run_one_at_a_time_over_processes(self, database: Database, reopen: Callable[[], Any]) -> None:
        other = await reopen()
        await database.run(settings.put, "count", value="0")
        await asyncio.gather(*((database, other)[at % 2].run(_count_up) for at in range(20)))
        assert await other.run(settings.get, "count") == "20"

    async def test_a_daemon_of_an_earlier_term_writes_nothing_more(
        self, database: Database, reopen: Callable[[], Any]
    ) -> None:
        first = await database.run(terms.begin)
        database.require(lambda connection: terms.require(connection, first))
        await database.run(settings.put, "a", value="1")
        other = await reopen()
        assert await other.run(terms.begin) == first + 1
        with pytest.raises(Busy, match="taken over"):
            await database.run(settings.put, "a", value="2")
        assert await other.run(settings.get, "a") == "1"

    async def test_a_cancelled_caller_does_not_halve_one(self, database: Database) -> None:
        def slow(connection: Connection) -> None:
            settings.put(connection, "a", value="1")
            loop.call_soon_threadsafe(task.cancel)
            settings.put(connection, "b", value="2")

        loop = asyncio.get_running_loop()
        task = asyncio.create_task(database.run(slow))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [await database.run(settings.get, name) for name in "ab"] == ["1", "2"]

    async def test_what_was_committed_is_there_for_the_next_opening(
        self, database: Database, reopen: Callable[[], Any]
    ) -> None:
        await database.run(settings.put, "a", value=AWKWARD)
        await database.run(replicas.put, record("1"))
        await database.close()
        again = await reopen()
        assert await again.run(settings.get, "a") == AWKWARD
        assert await again.run(replicas.all) == [record("1")]

    async def test_closing_twice_is_closing_once_and_nothing_runs_afterwards(self, database: Database) -> None:
        await database.close()
        await database.close()
        with pytest.raises(Unreachable):
            await database.run(settings.get, "a")

    async def test_the_place_is_shown_without_the_password(self, database: Database, locator: Locator) -> None:
        assert database.where
        assert locator.password is None or locator.password not in database.where


def _count_up(connection: Connection) -> None:
    count = int(settings.get(connection, "count") or 0)
    settings.put(connection, "count", value=str(count + 1))


class TestSettings:
    async def test_the_last_value_is_kept(self, database: Database) -> None:
        assert await database.run(settings.get, "token") is None
        assert await database.run(settings.get, "token", default="none") == "none"
        for value in ("one", AWKWARD, ""):
            await database.run(settings.put, "token", value=value)
            assert await database.run(settings.get, "token", default="none") == value

    async def test_what_a_database_cannot_hold_is_marked_instead_of_failing(self, database: Database) -> None:
        await database.run(settings.put, "a", value="x\x00y\udc80z")
        assert await database.run(settings.get, "a") == "x\ufffdy\ufffdz"


class TestPorts:
    async def test_a_name_holds_its_last_port(self, database: Database) -> None:
        await database.run(ports.hold, "shop/web", port=8001)
        await database.run(ports.hold, "shop/web", port=8002)
        await database.run(ports.hold, "ingress", port=8001)
        assert await database.run(ports.held) == {"shop/web": 8002, "ingress": 8001}

    async def test_a_prefix_gives_up_exactly_what_it_starts(self, database: Database) -> None:
        names = ("shop/web", "shop/api", "Shop/web", "shopping/web", "s%op/web", "other")
        for at, name in enumerate(names):
            await database.run(ports.hold, name, port=8000 + at)
        await database.run(ports.release, prefix="shop/")
        await database.run(ports.release, prefix="s%")
        assert sorted(await database.run(ports.held)) == ["Shop/web", "other", "shopping/web"]


class TestDocuments:
    async def test_they_come_back_in_the_order_of_their_first_application(self, database: Database) -> None:
        for name in ("web", "api", "db"):
            await database.run(documents.put, "shop", document=document(name, first=True))
        await database.run(documents.put, "shop", document=document("web", text=AWKWARD, z=1, a=[1, None, {"b": 1.5}]))
        await database.run(documents.put, "shop", document=document("web", kind="route"))
        await database.run(documents.put, "blog", document=document("web"))
        await database.run(documents.remove, "shop", kind="workload", name="api")
        await database.run(documents.remove, "shop", kind="workload", name="api")
        assert await database.run(documents.of_app, "shop") == [
            document("web", text=AWKWARD, z=1, a=[1, None, {"b": 1.5}]),
            document("db", first=True),
            document("web", kind="route"),
        ]
        assert await database.run(documents.apps) == ["blog", "shop"]

    async def test_an_application_without_any_is_none(self, database: Database) -> None:
        await database.run(documents.put, "shop", document=document("web"))
        await database.run(documents.remove, "shop", kind="workload", name="web")
        assert await database.run(documents.apps) == []
        assert await database.run(documents.of_app, "shop") == []

    async def test_the_order_of_a_bodys_keys_survives(self, database: Database) -> None:
        await database.run(documents.put, "shop", document=document("web", z=1, a=2, m=3))
        assert list((await database.run(documents.of_app, "shop"))[0]["body"]) == ["z", "a", "m"]


class TestReleases:
    async def test_a_release_comes_back_whole(self, database: Database) -> None:
        assert await database.run(releases.begin, "shop", **release(1, reason=AWKWARD)) == 1
        found = await database.run(releases.get, "shop", 1)
        assert found == releases.Release(
            app="shop",
            number=1,
            environment="local",
            author="ada",
            reason=AWKWARD,
            created_at=1001.25,
            finished_at=None,
            state="pending",
            file="/tmp/aic.yaml",
            text="app: shop # 1",
            documents=(document("web", number=1),),
            steps=(step("web"),),
            sources={"/code": "digest-1"},
        )
        assert await database.run(releases.get, "shop", 2) is None
        assert await database.run(releases.get, "blog", 1) is None

    async def test_numbers_are_each_applications_own_and_free_of_gaps(
        self, database: Database, reopen: Callable[[], Any]
    ) -> None:
        def failing(connection: Connection) -> None:
            releases.begin(connection, "shop", **release())
            raise ZeroDivisionError

        other = await reopen()
        calls: list[Any] = []
        for at in range(24):
            where = (database, other)[at % 2]
            calls.append(where.run(failing) if at % 6 == 0 else where.run(releases.begin, "shop", **release(at)))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(number for number in answers if isinstance(number, int)) == list(range(1, 21))
        assert await database.run(releases.begin, "blog", **release()) == 1

    async def test_a_new_current_one_supersedes_the_last(self, database: Database) -> None:
        assert await database.run(releases.current, "shop") is None
        for state_ in ("current", "failed", "current"):
            number = await database.run(releases.begin, "shop", **release())
            await database.run(releases.finish, "shop", number, state=state_, now=2000.5)
        await database.run(releases.begin, "shop", **release())
        await database.run(releases.begin, "blog", **release())
        await database.run(releases.finish, "blog", 1, state="current", now=1.0)
        listed = await database.run(releases.history, "shop")
        assert [(r.number, r.state) for r in listed] == [
            (4, "pending"),
            (3, "current"),
            (2, "failed"),
            (1, "superseded"),
        ]
        current = await database.run(releases.current, "shop")
        assert current is not None
        assert (current.number, current.finished_at) == (3, 2000.5)
        assert current.documents == (document("web", number=0),)
        latest = await database.run(releases.latest, "shop")
        assert latest is not None
        assert latest.number == 4
        assert await database.run(releases.latest, "none") is None
        assert await database.run(releases.apps) == ["blog", "shop"]

    async def test_the_history_is_light_and_limited(self, database: Database) -> None:
        for number in range(1, 6):
            await database.run(releases.begin, "shop", **release(number))
        listed = await database.run(releases.history, "shop", limit=2)
        assert [r.number for r in listed] == [5, 4]
        assert all((r.text, r.documents) == ("", ()) for r in listed)
        assert listed[0].steps == (step("web"),)
        assert listed[0].sources == {"/code": "digest-5"}

    async def test_ending_one_that_is_not_there_is_an_error(self, database: Database) -> None:
        number = await database.run(releases.begin, "shop", **release())
        await database.run(releases.finish, "shop", number, state="current", now=1.0)
        with pytest.raises(NotFound):
            await database.run(releases.finish, "shop", 7, state="current", now=1.0)
        current = await database.run(releases.current, "shop")
        assert current is not None and current.number == number


class TestDeploys:
    async def test_a_deploy_comes_back_whole_and_in_the_order_of_the_ends(self, database: Database) -> None:
        later, sooner = deployed(2000.5, message=AWKWARD, committed_at=7.5), deployed(1000.25, release=None)
        for one in (later, sooner):
            await database.run(deploys.append, one)
        assert await database.run(deploys.since, 0) == [sooner, later]
        assert await database.run(deploys.since, 1500) == [later]
        assert await database.run(deploys.since, 0, app="blog") == []

    async def test_what_is_too_old_is_forgotten(self, database: Database) -> None:
        await database.run(deploys.append, deployed(1.0))
        await database.run(deploys.append, deployed(2.0 + deploys.KEPT))
        assert len(await database.run(deploys.since, 0)) == 1

    async def test_a_release_that_nobody_wrote_a_deploy_down_for_is_one_all_the_same(self, database: Database) -> None:
        about = {"verb": "deploy", "began_at": 5.5, "revision": "abc", "committed_at": 1.5}
        for more in (about, about | {"verb": "traffic"}, about, about):
            number = await database.run(releases.begin, "shop", **release(**more))
            if number < 4:  # the last one is pending
                await database.run(
                    releases.finish, "shop", number, state="failed" if number == 3 else "current", now=9.0
                )
        await database.run(deploys.append, deployed(9.5, release=1))
        found = await database.run(deploys.since, 0)
        assert [(one.release, one.outcome, one.started_at, one.revision, one.committed_at) for one in found] == [
            (3, "failed", 5.5, "abc", 1.5),
            (1, "done", 0.5, "", None),
        ]


class TestOperations:
    async def test_an_operation_comes_back_whole(self, database: Database) -> None:
        identifier = await database.run(operations.begin, **operation())
        assert await database.run(operations.get, identifier) == operations.Operation(
            id=identifier,
            app="shop",
            verb="up",
            author="ada",
            state="running",
            release=1,
            wanted=(document("web", env={"A": AWKWARD}),),
            before=(document("old"),),
            steps=(StepRecord(0, step("web"), "pending"), StepRecord(1, step("old", action="delete"), "pending")),
            error=None,
            started_at=1000.125,
            finished_at=None,
        )
        assert await database.run(operations.get, identifier + 1) is None

    async def test_steps_are_marked_and_completed_with_their_documents(self, database: Database) -> None:
        await database.run(documents.put, "shop", document=document("old"))
        identifier = await database.run(operations.begin, **operation())
        await database.run(operations.mark, identifier, index=0, state="started")
        await database.run(
            operations.complete, identifier, index=0, app="shop", document=document("web", a=1), remove=None
        )
        await database.run(
            operations.complete, identifier, index=1, app="shop", document=None, remove=("workload", "old")
        )
        assert await database.run(documents.of_app, "shop") == [document("web", a=1)]
        await database.run(operations.mark, identifier, index=1, state="failed", error=AWKWARD)
        found = await database.run(operations.get, identifier)
        assert found is not None
        assert [(s.state, s.error) for s in found.steps] == [("done", None), ("failed", AWKWARD)]

    async def test_a_step_found_when_resuming_is_journalled_behind_the_others(self, database: Database) -> None:
        identifier = await database.run(operations.begin, **operation())
        await database.run(operations.mark, identifier, index=2, state="started", step=step("late"))
        await database.run(operations.mark, identifier, index=2, state="done")
        await database.run(operations.mark, identifier, index=3, state="started")
        found = await database.run(operations.get, identifier)
        assert found is not None
        assert found.steps[2:] == (StepRecord(2, step("late"), "done"), StepRecord(3, {}, "started"))

    async def test_an_application_has_one_at_a_time(self, database: Database) -> None:
        first = await database.run(operations.begin, **operation())
        with pytest.raises(Busy, match="shop") as caught:
            await database.run(operations.begin, **operation(verb="down"))
        assert caught.value.hint
        await database.run(operations.begin, **operation(app="blog"))
        await database.run(operations.finish, first, state="failed", error={"code": "busy"}, now=1.0)
        second = await database.run(operations.begin, **operation())
        assert second > first

    async def test_refusing_a_second_one_undoes_its_release_too(self, database: Database) -> None:
        def both(connection: Connection) -> None:
            releases.begin(connection, "shop", **release())
            operations.begin(connection, **operation())

        await database.run(operations.begin, **operation())
        with pytest.raises(Busy):
            await database.run(both)
        assert await database.run(releases.history, "shop") == []

    async def test_what_a_crash_interrupted_is_found_again(self, database: Database, reopen: Callable[[], Any]) -> None:
        done = await database.run(operations.begin, **operation(app="done"))
        await database.run(operations.finish, done, state="done", error=None, now=2.0)
        crashed = await database.run(operations.begin, **operation())
        await database.run(operations.mark, crashed, index=0, state="started")
        other = await database.run(operations.begin, **operation(app="blog", steps=[]))
        await database.close()
        again = await reopen()
        found = await again.run(operations.unfinished)
        assert [o.id for o in found] == [crashed, other]
        assert [s.state for s in found[0].steps] == ["started", "pending"]
        assert found[1].steps == ()

    async def test_an_end_is_recorded(self, database: Database) -> None:
        identifier = await database.run(operations.begin, **operation())
        error = {"code": "failed", "message": AWKWARD, "problems": []}
        await database.run(operations.finish, identifier, state="undone", error=error, now=2000.5)
        found = await database.run(operations.get, identifier)
        assert found is not None
        assert (found.state, found.error, found.finished_at) == ("undone", error, 2000.5)
        with pytest.raises(NotFound):
            await database.run(operations.finish, identifier + 1, state="done", error=None, now=1.0)

    async def test_the_last_ones_are_listed_and_the_oldest_forgotten(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "KEPT", 3)
        running = await database.run(operations.begin, **operation(app="blog"))
        ids = []
        for _ in range(5):
            ids.append(await database.run(operations.begin, **operation()))
            await database.run(operations.finish, ids[-1], state="done", error=None, now=1.0)
        assert [o.id for o in await database.run(operations.recent, app="shop", limit=10)] == ids[:1:-1]
        assert [o.id for o in await database.run(operations.recent, app="shop", limit=2)] == ids[:2:-1]
        assert [o.id for o in await database.run(operations.unfinished)] == [running]
        assert await database.run(operations.get, ids[0]) is None
        assert await database.run(_steps_of) == {running, *ids[2:]}


def _steps_of(connection: Connection) -> set[int]:
    return set(connection.scalars(select(operation_steps.c.operation)))


class TestReplicas:
    async def test_records_are_kept_as_they_were_given(self, database: Database) -> None:
        starting = record("b", pid=None, created=None, port=None, log=None)
        for each in (record("c"), starting, record("a")):
            await database.run(replicas.put, each)
        assert await database.run(replicas.all) == [record("a"), starting, record("c")]
        await database.run(replicas.put, record("b", pid=7))
        await database.run(replicas.remove, "a")
        await database.run(replicas.remove, "a")
        assert await database.run(replicas.all) == [record("b", pid=7), record("c")]


class TestChanges:
    async def test_the_newest_come_first(self, database: Database) -> None:
        ids = [await database.run(changes.append, **change(n, app="shop" if n % 2 else "blog")) for n in range(6)]
        assert ids == sorted(set(ids))
        listed = await database.run(changes.recent)
        assert listed == [{"id": ids[n], **change(n, app="shop" if n % 2 else "blog")} for n in reversed(range(6))]
        assert [c["id"] for c in await database.run(changes.recent, app="shop")] == [ids[5], ids[3], ids[1]]
        assert [c["id"] for c in await database.run(changes.recent, limit=2)] == [ids[5], ids[4]]
        assert [c["id"] for c in await database.run(changes.recent, after=ids[3])] == [ids[5], ids[4]]

    async def test_the_oldest_are_forgotten(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        def many(connection: Connection) -> list[int]:
            return [changes.append(connection, **change(n)) for n in range(30)]

        ids = await database.run(many)
        await database.run(changes.prune, keep=10)
        assert [c["id"] for c in await database.run(changes.recent)] == ids[:19:-1]
        await database.run(changes.prune)
        assert len(await database.run(changes.recent)) == 10

    async def test_appending_keeps_them_bounded(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        def many(connection: Connection) -> int:
            return [changes.append(connection, **change(n)) for n in range(25)][-1]

        monkeypatch.setattr(changes, "KEPT", 10)
        monkeypatch.setattr(changes, "_EVERY", 5)
        last = await database.run(many)
        listed = await database.run(changes.recent)
        assert [c["id"] for c in listed] == list(range(last, last - 10, -1))
