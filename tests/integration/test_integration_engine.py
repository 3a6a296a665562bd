"""The engine with real processes of every unpleasant kind, and without the rest of the product."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from aiculturekit.engine import host, limits, logs
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Event, Key, Limits, Probe, Workload
from aiculturekit.errors import NeverReady

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

SERVE = "exec python -S -E -m http.server --bind 127.0.0.1 $PORT"


class Ledger:
    """In memory; `records` is what an engine after a crash would find."""

    def __init__(self, records: dict[str, dict[str, Any]] | None = None) -> None:
        self.records = records if records is not None else {}

    async def put(self, record: dict[str, Any]) -> None:
        self.records[record["id"]] = json.loads(json.dumps(record))

    async def remove(self, identifier: str) -> None:
        self.records.pop(identifier, None)

    async def all(self) -> list[dict[str, Any]]:
        return list(self.records.values())


class Stage:
    """An engine with everything it tells."""

    def __init__(self, home: Path, *, ledger: Ledger | None = None, node: str = "") -> None:
        self.ledger = ledger or Ledger()
        self.published: list[tuple[Key, tuple[int, ...]]] = []
        self.events: list[Event] = []
        self.home, self.node = home, node or f"test-{os.getpid()}-{time.time_ns()}"
        self.engine = Engine(
            home=home, node=self.node, ledger=self.ledger, publish=self.publish, on_event=self.events.append
        )

    async def publish(self, key: Key, ports: tuple[int, ...]) -> None:
        self.published.append((key, ports))

    def workload(self, command: str = SERVE, **more: Any) -> Workload:
        given = {
            "key": Key("t", "web"),
            "directory": self.home,
            "revision": command,
            "environment": {"PATH": os.environ["PATH"]},
        }
        return Workload(command=command, **(given | {"startup": 15.0, "grace": 2.0} | more))

    def pids(self) -> list[int]:
        return [i.pid for status in self.engine.statuses() for i in status.instances if i.pid]

    def left(self) -> list[int]:
        return [pid for pid, environment in host.marked() if environment.get(host.NODE) == self.node]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    await made.engine.start()
    yield made
    await made.engine.stop_all()
    await made.engine.close()
    assert made.left() == []
    assert made.ledger.records == {}


async def until(holds: Callable[[], bool], *, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_service_is_ready_published_and_gone_without_a_trace(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(replicas=2))
    status = stage.engine.status(Key("t", "web"))
    assert status is not None and (status.state, status.ready) == ("ready", 2)
    assert len(stage.published[-1][1]) == 2
    await stage.engine.remove(Key("t", "web"))
    assert stage.published[-1][1] == ()


async def test_the_old_revision_serves_until_the_new_one_is_ready(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(replicas=2))
    before = set(stage.pids())
    await stage.engine.apply(stage.workload(replicas=2, revision="2"))
    assert not before & set(stage.pids())
    assert [len(ports) for _, ports in stage.published] == [2, 4, 2]
    assert all(ports for _, ports in stage.published), "never an empty set in between"


async def test_scaling_starts_or_stops_only_the_difference(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(replicas=1))
    (first,) = stage.pids()
    await stage.engine.apply(stage.workload(replicas=3))
    assert first in stage.pids() and len(stage.pids()) == 3
    await stage.engine.apply(stage.workload(replicas=1))
    assert stage.pids() == [first]
    await stage.engine.apply(stage.workload(replicas=0))
    assert stage.pids() == []


@pytest.mark.parametrize(
    ("command", "words", "printed"),
    [
        ("echo could not connect; exit 3", "ended with exit code 3", "could not connect"),
        ("no-such-program-anywhere", "not found", "no-such-program-anywhere"),
        ("echo I sleep; sleep 60", "not ready within 1 s", "I sleep"),
    ],
)
async def test_what_never_becomes_ready_fails_with_its_last_lines_and_the_old_one_never_notices(
    stage: Stage, command: str, words: str, printed: str
) -> None:
    await stage.engine.apply(stage.workload())
    before, published = stage.pids(), len(stage.published)
    with pytest.raises(NeverReady) as raised:
        await stage.engine.apply(stage.workload(command, startup=1.0))
    assert words in raised.value.message
    assert printed in "\n".join(raised.value.tail)
    assert (stage.pids(), len(stage.published)) == (before, published)


async def test_a_service_that_ignores_sigterm_is_killed_after_its_grace(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(f"trap '' TERM; {SERVE.removeprefix('exec ')}", grace=0.5))
    started = time.monotonic()
    await stage.engine.remove(Key("t", "web"))
    assert 0.4 < time.monotonic() - started < 10


@pytest.mark.parametrize("before", ["", "true; "])
async def test_a_service_has_its_grace_to_finish_in(stage: Stage, before: str) -> None:
    """Also behind a shell, which ends at once."""
    (stage.home / "slow.py").write_text(
        "import os, signal, socket, sys, time\n"
        "server = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
        "def end(*_):\n    time.sleep(0.4); open('finished', 'w'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "while True: signal.pause()\n"
    )
    await stage.engine.apply(stage.workload(f"{before}python slow.py"))
    await stage.engine.remove(Key("t", "web"))
    assert (stage.home / "finished").exists()


async def test_children_and_those_who_left_the_session_are_ended_too(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(f"sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & {SERVE}"))
    await until(lambda: len(stage.left()) >= 4)
    await stage.engine.remove(Key("t", "web"))
    assert stage.left() == []


async def test_a_killed_replica_is_withdrawn_and_comes_back(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(replicas=2))
    victim, other = stage.pids()
    os.kill(victim, signal.SIGKILL)
    await until(lambda: len(stage.published[-1][1]) == 1)
    await until(lambda: len(stage.published[-1][1]) == 2)
    assert other in stage.pids() and victim not in stage.pids()
    assert any(event.level == "warning" for event in stage.events)


async def test_a_hundred_megabytes_of_output_neither_fill_the_disk_nor_stop_the_service(stage: Stage) -> None:
    flood = "python -S -E -c \"print('\\\\n'.join('%09d ' % n + 'x' * 190 for n in range(500_000)))\""
    await stage.engine.apply(stage.workload(f"{flood} & {SERVE}", startup=40.0))
    folder = stage.home / "logs"

    def used() -> int:
        return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())

    await until(lambda: sum(file.stat().st_size for file in folder.rglob("*.log")) > 90 << 20, seconds=60)
    await until(lambda: used() < logs.LIMIT + 3 * logs.PART, seconds=20)
    records = await logs.read(stage.home, app="t", tail=50)
    assert len(records) == 50
    assert (stage.engine.status(Key("t", "web")) or pytest.fail("gone")).ready == 1


async def test_a_taken_port_is_passed_over(stage: Stage) -> None:
    import socket

    await stage.engine.apply(stage.workload())
    status = stage.engine.status(Key("t", "web"))
    assert status is not None
    (instance,) = status.instances
    os.kill(instance.pid or 0, signal.SIGSTOP)  # so that the port can't be taken back before we have it
    os.kill(instance.pid or 0, signal.SIGKILL)
    with contextlib.ExitStack() as stack:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                stack.enter_context(socket.create_server(("127.0.0.1", instance.port or 0)))
                break
            except OSError:
                await asyncio.sleep(0.001)
        await until(
            lambda: any(
                i.state == "ready" and i.pid != instance.pid for s in stage.engine.statuses() for i in s.instances
            )
        )
    (now,) = (stage.engine.status(Key("t", "web")) or status).instances
    assert now.state == "ready"


async def test_a_memory_limit_holds_and_is_named(stage: Stage) -> None:
    eat = 'import os; block = bytearray(300 << 20); print("ate it")'
    command = f"python -S -E -c '{eat}'; {SERVE}"
    if limits.is_enforced():
        with pytest.raises(NeverReady, match="out of memory"):
            await stage.engine.apply(stage.workload(f"exec python -S -E -c '{eat}'", limits=Limits(memory=64 << 20)))
    else:
        await stage.engine.apply(stage.workload(command, limits=Limits(memory=64 << 20)))
        assert "MemoryError" in "\n".join(record.message for record in await logs.read(stage.home, app="t"))


async def test_an_unready_replica_gets_no_requests_until_it_is_well_again(stage: Stage) -> None:
    probe = Probe("exec", command="test -f well", every=0.1, fails=2)
    (stage.home / "well").touch()
    await stage.engine.apply(stage.workload(readiness=probe))
    (stage.home / "well").unlink()
    await until(lambda: stage.published[-1][1] == ())
    (stage.home / "well").touch()
    await until(lambda: len(stage.published[-1][1]) == 1)


async def test_a_replica_that_is_not_alive_is_restarted(stage: Stage) -> None:
    (stage.home / "alive").touch()
    await stage.engine.apply(stage.workload(liveness=Probe("exec", command="test -f alive", every=0.1, fails=2)))
    (before,) = stage.pids()
    (stage.home / "alive").unlink()
    await until(lambda: stage.pids() != [before] and bool(stage.pids()))
    (stage.home / "alive").touch()
    await until(lambda: len(stage.published[-1][1]) == 1)


async def test_a_restart_is_rolling(stage: Stage) -> None:
    await stage.engine.apply(stage.workload())
    before = stage.pids()
    await stage.engine.restart(Key("t", "web"))
    assert stage.pids() != before
    assert all(ports for _, ports in stage.published)


async def test_a_job_runs_to_its_end(stage: Stage) -> None:
    job = {"kind": "job", "key": Key("t", "job")}
    await stage.engine.apply(stage.workload("echo done > result", **job))
    assert (stage.home / "result").read_text() == "done\n"
    with pytest.raises(NeverReady) as raised:
        await stage.engine.apply(stage.workload("echo it broke; exit 9", **job))
    assert "exit code 9" in raised.value.message and raised.value.tail == ("it broke",)
    with pytest.raises(NeverReady, match="not done within"):
        await stage.engine.apply(stage.workload("sleep 60", startup=0.5, **job))


async def test_wrong_wall_clock_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines and identities hang on the monotonic clock and on boot ticks alone."""
    await stage.engine.apply(stage.workload(readiness=Probe(every=0.1)))
    (before,) = stage.pids()
    real = time.time
    for jump in (10**6, -(10**6)):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        await asyncio.sleep(0.4)
        assert stage.pids() == [before] and len(stage.published[-1][1]) == 1
    assert host.is_running(before, since=host.started(before))


CRASHING = """\
import asyncio, json, os, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_integration_engine import Ledger, Stage
class Kept(Ledger):
    async def put(self, record):
        await super().put(record); Path({file!r}).write_text(json.dumps(self.records))
async def main():
    stage = Stage(Path({home!r}), ledger=Kept(), node={node!r})
    await stage.engine.start()
    await stage.engine.apply(stage.workload(replicas=2))
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_after_a_crash_the_next_engine_adopts_what_runs_and_ends_what_nobody_knows(tmp_path: Path) -> None:
    file, node = tmp_path / "ledger.json", f"crash-{os.getpid()}"
    script = CRASHING.format(tests=str(Path(__file__).parent), file=str(file), home=str(tmp_path), node=node)
    daemon = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None and daemon.stdout.readline() == "up\n"
    daemon.kill()
    daemon.wait()
    records = json.loads(file.read_text())
    pids = sorted(record["pid"] for record in records.values())
    stray = subprocess.Popen(["sleep", "300"], env={host.NODE: node, host.TOKEN: "nobody"}, start_new_session=True)
    half = {**next(iter(records.values())), "id": "half-started", "pid": None}
    made = Stage(tmp_path, ledger=Ledger({**records, "half-started": half}), node=node)
    await made.engine.start()
    try:
        assert sorted(made.pids()) == pids
        assert made.published[-1][1] and len(made.published[-1][1]) == 2
        assert stray.wait(5) == -signal.SIGKILL
        assert set(made.ledger.records) == set(records)
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: len(made.pids()) == 2 and pids[0] not in made.pids())
        await made.engine.apply(made.workload(replicas=2))
        assert pids[1] in made.pids(), "the same revision is not restarted"
    finally:
        await made.engine.stop_all()
        await made.engine.close()
    assert made.left() == []


async def test_letting_go_leaves_everything_running(tmp_path: Path) -> None:
    first = Stage(tmp_path)
    await first.engine.start()
    await first.engine.apply(first.workload())
    pids = first.pids()
    await first.engine.close()
    assert host.is_running(pids[0], since=None)
    second = Stage(tmp_path, ledger=first.ledger, node=first.node)
    await second.engine.start()
    assert second.pids() == pids
    await second.engine.stop_all()
    await second.engine.close()


async def test_what_ended_while_no_daemon_watched_is_started_again_by_settling(tmp_path: Path) -> None:
    first = Stage(tmp_path)
    await first.engine.start()
    await first.engine.apply(first.workload(replicas=2))
    pids = first.pids()
    await first.engine.close()
    os.kill(pids[0], signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(pids[0]) or psutil.Process(pids[0]).status() == psutil.STATUS_ZOMBIE)
    second = Stage(tmp_path, ledger=first.ledger, node=first.node)
    await second.engine.start()
    try:
        assert second.engine.is_short("t")
        await second.engine.settle("t", progress=lambda name, message: None)
        assert not second.engine.is_short("t")
        assert pids[1] in second.pids() and len(second.pids()) == 2
    finally:
        await second.engine.stop_all()
        await second.engine.close()


async def test_settling_waits_for_a_restart_and_names_what_loops(stage: Stage) -> None:
    await stage.engine.apply(stage.workload(f"test -e broken && exit 3; {SERVE}"))
    os.kill(stage.pids()[0], signal.SIGKILL)
    await until(lambda: stage.engine.statuses()[0].state != "ready")
    told: list[tuple[str, str]] = []
    await stage.engine.settle("t", progress=lambda name, message: told.append((name, message)))
    assert stage.engine.statuses()[0].state == "ready"
    assert told == [("web/v1", "waiting until it is ready again")]
    (stage.home / "broken").touch()
    os.kill(stage.pids()[0], signal.SIGKILL)
    await until(lambda: stage.engine.statuses()[0].state != "ready")
    with pytest.raises(NeverReady, match="exit code 3"):
        await stage.engine.settle("t", progress=lambda name, message: None)
