"""The shell around one machine: one process, its log, its probes, its end.

All that happens to a replica goes through one queue and is handled by one task, so the machine sees it in order. The ledger knows a
replica before its process exists and until its last process is gone: a crash in between leaves something to find, never an orphan.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiculturekit import threads
from aiculturekit.engine import host, logs, ports
from aiculturekit.engine.askers import Asker
from aiculturekit.engine.machine import Machine, Order, Terms
from aiculturekit.engine.probes import Verdict
from aiculturekit.engine.processes import Process
from aiculturekit.engine.rooms import Room, Rooms
from aiculturekit.engine.workloads import Instance, Key, Workload, as_record
from aiculturekit.errors import AicError
from aiculturekit.language import say

log = logging.getLogger(__name__)
_FIGURES_FOR = 2.0


class Ledger(Protocol):
    """Where replicas are recorded. Every method is idempotent."""

    async def put(self, record: dict[str, Any]) -> None: ...

    async def remove(self, identifier: str) -> None: ...

    async def all(self) -> list[dict[str, Any]]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What every replica of an engine shares."""

    home: Path
    node: str
    ledger: Ledger
    taken: set[int]
    rooms: Rooms | None = None
    held: Callable[[], Collection[int]] = tuple
    """Ports that others have, though nobody may listen on them at the moment."""

    def room(self, key: Key) -> Room | None:
        """Where the workload lives; None for the loopback that all share."""
        return self.rooms.of(key.app, key.name) if self.rooms else None


class Replica:
    """`on_change(replica, what)` is awaited after "publish", "withdraw", "exit" and "gone". No probe is heard while it `is_frozen`."""

    def __init__(
        self,
        workload: Workload,
        *,
        identifier: str,
        zone: str = "",
        around: Surroundings,
        on_change: Callable[[Replica, str], Awaitable[None]],
    ) -> None:
        self.workload, self.id, self.zone = workload, identifier, zone
        self.machine = Machine(_terms(workload))
        self.pid: int | None = None
        self.created: float | None = None
        self.port: int | None = None
        self.started_at: float | None = None
        self.is_promoted = self.has_served = self.is_frozen = False
        self._last_probe = ""
        self._around, self._on_change = around, on_change
        self._inbox: asyncio.Queue[Callable[[], list[Order]]] = asyncio.Queue()
        self._helpers: set[asyncio.Task[None]] = set()
        self._process = Process(
            identifier, home=around.home, node=around.node, zone=zone, is_contained=workload.container is not None
        )
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._gone = asyncio.Event()
        self._figures: tuple[float, int | None, float | None] = (-_FIGURES_FOR, None, None)

    @property
    def log_file(self) -> Path:
        key = self.workload.key
        return logs.path(self._around.home, app=key.app, name=key.name, version=key.version, instance=self.id)

    @property
    def is_ready(self) -> bool:
        return self.machine.state == "ready"

    def start(self) -> None:
        self._task = asyncio.create_task(
            self._live(lambda: self.machine.begin(time.monotonic())), name=f"replica {self.id}"
        )

    def adopt(self, record: dict[str, Any]) -> None:
        """Take over the process of an earlier daemon."""
        self.pid, self.created, self.port = record["pid"], record["created"], record["port"]
        self.started_at, self.is_promoted, self.has_served = time.time(), True, record["has_served"]
        self.signal(signal.SIGCONT)  # the earlier daemon may have died while it held it still
        self._task = asyncio.create_task(
            self._live(lambda: self.machine.adopt(time.monotonic(), has_served=self.has_served)),
            name=f"replica {self.id}",
        )
        self._watch_process()

    async def settled(self) -> bool:
        """Wait for the first verdict: True when it became ready (or a job ended well), False when it failed."""
        await self._settled.wait()
        return self.is_ready or (self.machine.terms.is_job and self.machine.state == "exited")

    async def stop(self) -> None:
        """End it and wait until every process of it is gone. Idempotent."""
        self._inbox.put_nowait(lambda: self.machine.stop(time.monotonic()))
        await self._gone.wait()

    def signal(self, number: int) -> None:
        """To all its processes."""
        self._process.signal(self.pid or 0, number)

    async def let_go(self) -> None:
        """Stop supervising; the process goes on."""
        for task in [*self._helpers, *([self._task] if self._task else [])]:
            task.cancel()
        await asyncio.gather(*self._helpers, *([self._task] if self._task else []), return_exceptions=True)

    def instance(self) -> Instance:
        """As it is now; memory and CPU are at most two seconds old."""
        now = time.monotonic()
        if self.pid is not None and now - self._figures[0] > _FIGURES_FOR:
            self._figures = (now, host.memory(host.group(self.pid)), host.cpu_seconds(self.pid))
        machine = self.machine
        return Instance(
            id=self.id,
            revision=self.workload.revision,
            release=self.workload.release,
            pid=self.pid,
            port=self.port,
            state=machine.state,
            reason=machine.reason,
            restarts=machine.restarts,
            started_at=self.started_at,
            exit_code=machine.exit_code,
            memory_bytes=self._figures[1] if self.pid is not None else None,
            cpu_seconds=self._figures[2] if self.pid is not None else None,
            last_probe=self._last_probe,
            zone=self.zone,
        )

    async def record(self) -> None:
        await self._around.ledger.put(
            {
                "id": self.id,
                "app": self.workload.key.app,
                "name": self.workload.key.name,
                "version": self.workload.key.version,
                "revision": self.workload.revision,
                "release": self.workload.release,
                "pid": self.pid,
                "created": self.created,
                "port": self.port,
                "log": str(self.log_file),
                "has_served": self.has_served,
                "workload": as_record(self.workload),
            }
        )

    async def _live(self, first: Callable[[], list[Order]]) -> None:
        """Handle what comes in until the machine is gone. A bug in here must not leave a waiter waiting."""
        try:
            await self._obey(first())
            while not self.machine.is_gone:
                event = await self._next()
                await self._obey(event() if event else self.machine.tick(time.monotonic()))
        except AicError as error:
            self.machine.reason, self.machine.state = error.message, "failed"
        except Exception:
            log.exception("replica %s", self.id)
            self.machine.reason, self.machine.state = say("internal error"), "failed"
        self._settled.set()
        self._gone.set()

    async def _next(self) -> Callable[[], list[Order]] | None:
        deadline = self.machine.deadline
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await self._inbox.get()
        return None

    async def _obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case "spawn":
                    await self._spawn()
                case "term":
                    self._process.ask_to_stop(self.pid or 0, self.workload)
                case "kill":
                    self.signal(signal.SIGKILL)
                case "publish":
                    self._settled.set()
                    self.has_served = True
                    await self.record()
                    await self._on_change(self, "publish")
                case "withdraw":
                    await self._on_change(self, "withdraw")
                case "gone":
                    await self._clean_up()

    async def _spawn(self) -> None:
        """The record comes before the process, so that a crash in between leaves a token to find."""
        self.pid = self.created = None
        try:
            self.port = _free_port(self.port, around=self._around, key=self.workload.key)
            await self.record()
            self.pid = self._process.start(
                self.workload, port=self.port, log=self.log_file, room=self._around.room(self.workload.key)
            )
        except OSError as error:
            reason = str(error)
            self._inbox.put_nowait(lambda: self.machine.exited(time.monotonic(), code=126, why=reason))
            return
        self.created, self.started_at = host.started(self.pid), time.time()
        await self.record()
        self._watch_process()

    def _watch_process(self) -> None:
        for task in list(self._helpers):
            task.cancel()
        asker = Asker(
            self.workload,
            port=self.port or 0,
            environment=self._process.environment(self.workload, self.port),
            room=self._around.room(self.workload.key),
            is_starting=lambda: self.machine.state == "starting",
            bundle=self._process.bundle,
        )
        works = [self._watch_exit()]
        if not self.machine.terms.is_job:
            works += [asker.ask_ready(self._heard), asker.ask_alive(partial(self._heard, of_liveness=True))]
        for work in works:
            task = asyncio.create_task(work)
            self._helpers.add(task)
            task.add_done_callback(self._helpers.discard)

    async def _watch_exit(self) -> None:
        pid = self.pid
        if pid is None:
            return
        code = await host.ended(pid)
        if self.machine.is_stopping:
            await host.group_ended(pid)  # a shell may go before what it runs; that has until the deadline
        why = host.shortage(self.workload.directory) if code else ""
        if self._process.ran_out_of_memory:
            why = say("out of memory: it took more than its limit")
        await threads.run(self._process.end, pid)

        def ended() -> list[Order]:
            self.pid = None
            return self.machine.exited(time.monotonic(), code=self._process.code(code), why=why)

        self._inbox.put_nowait(ended)
        await self._on_change(self, "exit")

    def _heard(self, verdict: Verdict, *, of_liveness: bool = False) -> None:
        """An answer to one of its probes."""
        if self.is_frozen:
            return
        well, message = verdict.is_well, verdict.message
        if of_liveness:
            self._inbox.put_nowait(lambda: self.machine.lived(is_well=well, message=message))
            return
        self._last_probe = message
        self._inbox.put_nowait(lambda: self.machine.probed(time.monotonic(), is_well=well, message=message))

    async def _clean_up(self) -> None:
        """Nothing of it may be left: not a process that went its own way, not a cgroup, not a record."""
        for task in list(self._helpers):
            if task is not asyncio.current_task():
                task.cancel()
        await threads.run(self._process.end, self.pid)
        if self.pid is not None:
            host.reap(self.pid)
            self.pid = None
        await threads.run(self._process.unbind)
        self._around.taken.discard(self.port or 0)
        await self._around.ledger.remove(self.id)
        await self._on_change(self, "gone")


def _terms(workload: Workload) -> Terms:
    live = workload.liveness.fails if workload.liveness else 3
    return Terms(
        startup=workload.startup,
        grace=workload.grace,
        fails=workload.readiness.fails,
        live_fails=live,
        is_job=workload.kind == "job",
    )


def _free_port(port: int | None, *, around: Surroundings, key: Key) -> int:
    """Free where it lives: on another loopback than the daemon's the same number may be one of the mesh's doors."""
    find = partial(_port, port, taken=around.taken, held=around.held())
    room = around.room(key)
    return room.inside(find) if room else find()


def _port(port: int | None, *, taken: set[int], held: Collection[int]) -> int:
    """The port it had, while that is free; else another one, which is taken from now on."""
    if port is not None and ports.is_free(port):
        return port
    taken.discard(port or 0)
    port = ports.allocate({*taken, *held})
    taken.add(port)
    return port
