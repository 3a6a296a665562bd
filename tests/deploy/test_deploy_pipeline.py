"""The pipeline against a real state database and a target whose world outlives it, through every kind of interruption."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from aiculturekit import state
from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Failed, Protected
from aiculturekit.plan import holds
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.state import documents, operations, releases
from aiculturekit.state.databases import Database
from aiculturekit.targets.memory import Memory

Key = tuple[str, str]
World = dict[str, dict[Key, Document]]


class Crash(BaseException):
    """`kill -9`: nothing of ours runs after it."""


def service(name: str, *, revision: int = 0, versions: tuple[str, ...] = ("v1",)) -> list[Document]:
    return [
        Document("access", name, {"versions": list(versions)}),
        *(Document("workload", f"{name}/{version}", {"revision": revision}) for version in versions),
        Document("route", name, {"weights": {version: 100 / len(versions) for version in versions}}),
        Document("ingress", f"/{name}", {"service": name}),
    ]


def resource(name: str, *, protected: bool = True) -> Document:
    return Document("resource", name, {"type": "sqlite", "protected": protected})


def change(*listed: Document, verb: str = "up", **rest: Any) -> Change:
    return Change(app="shop", verb=verb, documents=listed, **rest)


def silent(kind: str, payload: Any) -> None:
    pass


@pytest.fixture
async def database(tmp_path: Path) -> Any:
    opened = state.open(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    await opened.close()


async def recorded(database: Database) -> dict[Key, str]:
    return {(r["kind"], r["name"]): Document.from_dict(r).digest for r in await database.run(documents.of_app, "shop")}


def real(world: World) -> dict[Key, str]:
    return {key: document.digest for key, document in world.get("shop", {}).items()}


async def test_a_change_is_performed_recorded_and_then_there_is_nothing_to_do(database: Database) -> None:
    target = Memory()
    pipeline = Pipeline(database=database, target=target)
    seen: list[tuple[str, str]] = []
    outcome = await pipeline.apply(
        change(*service("web"), reason="first"),
        emit=lambda kind, payload: seen.append((payload["kind"], payload["state"])) if kind == "step" else None,
    )
    assert (outcome.release, len(outcome.steps)) == (1, 4)
    assert seen == [(k, s) for k in ("access", "workload", "route", "ingress") for s in ("started", "done")]
    assert await recorded(database) == real(target.world) != {}

    again = await pipeline.apply(change(*service("web")), emit=silent)
    assert (again.steps, again.operation, again.release) == ((), None, 1)
    assert [r.reason for r in await database.run(releases.history, "shop")] == ["first"]


async def test_a_failed_step_undoes_everything_and_the_release_says_so(database: Database) -> None:
    def refuse(step: Step) -> None:
        if step.document.kind == "ingress" and step.document.body["service"] == "web" and step.action == "create":
            raise Failed("port taken")

    world: World = {}
    quiet = Pipeline(database=database, target=Memory(world))
    await quiet.apply(change(*service("pay")), emit=silent)
    before = real(world)
    with pytest.raises(Failed, match="port taken"):
        broken = Pipeline(database=database, target=Memory(world, before=refuse))
        await broken.apply(change(*service("pay", revision=1), *service("web")), emit=silent)
    assert real(world) == before == await recorded(database)
    assert [(r.number, r.state) for r in await database.run(releases.history, "shop")] == [
        (2, "failed"),
        (1, "current"),
    ]
    (last, _) = await database.run(operations.recent, app="shop")
    assert last.state == "failed"
    assert last.error is not None and last.error["message"] == "port taken"


async def test_a_bug_in_a_target_is_undone_too_and_is_not_hidden(database: Database) -> None:
    def break_down(step: Step) -> None:
        if step.document.kind == "route" and step.action == "create":
            raise ZeroDivisionError

    pipeline = Pipeline(database=database, target=Memory(before=break_down))
    with pytest.raises(Failed, match="ZeroDivisionError"):
        await pipeline.apply(change(*service("web")), emit=silent)
    assert await recorded(database) == {}


async def test_nothing_is_journalled_or_touched_when_the_plan_refuses(database: Database) -> None:
    target = Memory()
    pipeline = Pipeline(database=database, target=target)
    await pipeline.apply(change(resource("db")), emit=silent)
    with pytest.raises(Protected):
        await pipeline.apply(change(*service("web")), emit=silent)
    assert list(real(target.world)) == [("resource", "db")]
    assert len(await database.run(operations.recent, app="shop")) == 1


@pytest.mark.parametrize("step_at", range(8))
async def test_a_crash_at_any_step_is_carried_on_by_the_next_daemon(database: Database, step_at: int) -> None:
    count = 0

    def crash(step: Step) -> None:
        nonlocal count
        if count == step_at:
            raise Crash
        count += 1

    world: World = {}
    with pytest.raises(Crash):
        crashing = Pipeline(database=database, target=Memory(world, before=crash))
        await crashing.apply(change(*service("web"), *service("pay")), emit=silent)
    (left,) = await database.run(operations.unfinished)
    await Pipeline(database=database, target=Memory(world)).resume(left, emit=silent)
    assert real(world) == await recorded(database)
    assert len(real(world)) == 8
    assert await database.run(operations.unfinished) == []
    current = await database.run(releases.current, "shop")
    assert current is not None and current.number == 1


async def test_what_a_reboot_took_is_brought_back_from_the_record(database: Database) -> None:
    world: World = {}
    await Pipeline(database=database, target=Memory(world)).apply(change(*service("web")), emit=silent)
    before = real(world)
    del world["shop"]["workload", "web/v1"]
    listed = [Document.from_dict(record) for record in await database.run(documents.of_app, "shop")]
    pipeline = Pipeline(database=database, target=Memory(world))
    assert await pipeline.restore("shop", listed, emit=silent)
    assert real(world) == before
    assert not await pipeline.restore("shop", listed, emit=silent)
    assert len(await database.run(releases.history, "shop")) == 1


async def test_a_thousand_random_interleavings_end_with_the_state_equal_to_reality(tmp_path: Path) -> None:
    """up / edit / down / rollback, each of which may fail or be killed at a random step: after the next `up` the world is what
    was asked for, the record equals the world, and the protected resource was there all the time."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    database = state.open("memory://")
    world: World = {}
    try:
        await Pipeline(database=database, target=Memory(world)).apply(change(resource("db")), emit=silent)
        for turn in range(1000):
            await _turn(database, world, dice)
            assert ("resource", "db") in world["shop"], f"seed {seed}, turn {turn}"
            if turn % 10 == 0:
                wanted = _wish(dice)
                await _next_daemon(database, world)
                await Pipeline(database=database, target=Memory(world)).apply(change(*wanted), emit=silent)
                asked = {document.key: document.digest for document in wanted}
                assert real(world) == asked == await recorded(database), f"seed {seed}, turn {turn}"
    finally:
        await database.close()


def _wish(dice: random.Random) -> list[Document]:
    names = dice.sample(["web", "pay", "users"], k=dice.randrange(4))
    versions = ("v1", "v2") if dice.random() < 0.3 else ("v1",)
    services = [d for name in names for d in service(name, revision=dice.randrange(3), versions=versions)]
    return [resource("db"), *services]


async def _turn(database: Database, world: World, dice: random.Random) -> None:
    fate = dice.choice(["well", "well", "fail", "kill"])
    left = dice.randrange(8)

    def befall(step: Step) -> None:
        nonlocal left
        left -= 1
        if left == 0 and fate != "well":
            raise Failed("random") if fate == "fail" else Crash

    pipeline = Pipeline(database=database, target=Memory(world, before=befall))
    wish = await _random_change(database, world, dice)
    try:
        await pipeline.apply(wish, emit=silent)
    except Failed:
        assert real(world) == await recorded(database)
    except Protected:
        pass
    except Crash:
        await _next_daemon(database, world)


async def _random_change(database: Database, world: World, dice: random.Random) -> Change:
    verb = dice.choice(["up", "up", "edit", "down", "rollback", "lose"])
    if verb == "down":
        kept = [document for document in world.get("shop", {}).values() if document.kind == "resource"]
        return change(*kept, verb="down", is_release=False)
    if verb == "rollback" and (history := await database.run(releases.history, "shop")):
        release = await database.run(releases.get, "shop", dice.choice(history).number)
        assert release is not None
        return change(*(Document.from_dict(record) for record in release.documents), verb="rollback")
    if verb == "lose":  # a file without the protected resource
        return change(*_wish(dice)[1:])
    return change(*_wish(dice), verb="up")


async def _next_daemon(database: Database, world: World) -> None:
    for operation in await database.run(operations.unfinished):
        await Pipeline(database=database, target=Memory(world)).resume(operation, emit=silent)
    assert real(world) == await recorded(database)


async def test_steps_of_one_wave_run_at_once(database: Database) -> None:
    running, most = 0, 0

    class Slow(Memory):
        async def perform(self, app: str, *, step: Step, release: int, progress: Any) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            await super().perform(app, step=step, release=release, progress=progress)
            running -= 1

    await Pipeline(database=database, target=Slow()).apply(
        change(*service("a"), *service("b"), *service("c")), emit=silent
    )
    assert most == 3


async def test_only_a_wish_from_the_file_keeps_what_was_shifted(database: Database) -> None:
    target = Memory()
    pipeline = Pipeline(database=database, target=target)
    file = service("web", versions=("v1", "v2"))
    shifted = [holds.hold(d, value={"v1": 0.0, "v2": 100.0}) if d.kind == "route" else d for d in file]
    for wish in (change(*file), change(*shifted), change(*file, keeps_holds=True)):
        await pipeline.apply(wish, emit=silent)
    assert await _weights(target) == {"v1": 0.0, "v2": 100.0}
    await pipeline.apply(change(*file, verb="rollback"), emit=silent)
    assert await _weights(target) == {"v1": 50.0, "v2": 50.0}


async def _weights(target: Memory) -> Any:
    return next(d.body["weights"] for d in await target.observe("shop") if d.kind == "route")
