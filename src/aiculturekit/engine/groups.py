"""All replicas of one workload version: rolling from one revision to the next, scaling, and what the data plane is told.

A rolling change in one breath: new replicas start beside the old ones, all become ready, are published in their place, the old ones are
given a moment for what is in flight, then stopped. When a new one fails, the new ones go and the old ones never noticed.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from aiculturekit.engine import logs
from aiculturekit.engine.replicas import Replica, Surroundings
from aiculturekit.engine.workloads import Event, Instance, Key, Serving, State, Status, Workload
from aiculturekit.errors import NeverReady
from aiculturekit.language import say

Publish = Callable[[Key, tuple[Serving, ...]], Awaitable[None]]
Progress = Callable[[str], None]
DRAIN = 0.4
"""Seconds between taking a replica out of the data plane and asking it to stop: time for what is in flight."""
_LOOK = 0.05
_UNREACHED = re.compile(
    r"(?i)connection ?refused|network (is )?unreachable|\be(connrefused|netunreach|notfound|ai_again)\b|getaddrinfo|no such host"
    r"|name or service not known|name resolution|unknown ?host|failed to lookup"
)
"""How languages say that nobody is there."""

_WORST: tuple[State, ...] = (
    "crash_loop",
    "failed",
    "backoff",
    "unready",
    "starting",
    "stopping",
    "pending",
    "ready",
    "exited",
)


class Group:
    """`wanted` is what was asked for last."""

    def __init__(
        self, wanted: Workload, *, around: Surroundings, publish: Publish, on_event: Callable[[Event], None]
    ) -> None:
        self.wanted = wanted
        self.replicas: list[Replica] = []
        self._around, self._publish, self._on_event = around, publish, on_event
        self._lock, self._publishing = asyncio.Lock(), asyncio.Lock()
        self._last_run: Instance | None = None
        self._numbers = itertools.count(1)

    @property
    def key(self) -> Key:
        return self.wanted.key

    def status(self) -> Status:
        instances = tuple(replica.instance() for replica in self.replicas)
        if not instances and self._last_run is not None:
            instances = (self._last_run,)
        return Status(self.wanted, self.state, instances)

    @property
    def state(self) -> State:
        """The worst of its replicas' states."""
        states = {replica.machine.state for replica in self.replicas}
        if not states and self._last_run is not None:
            states = {self._last_run.state}
        fallback: State = "ready" if self.wanted.replicas == 0 else "pending"
        return next((state for state in _WORST if state in states), fallback)

    def adopt(self, workload: Workload, record: dict, *, zone: str) -> None:  # type: ignore[type-arg]
        replica = self._new(workload, identifier=record["id"], zone=zone)
        replica.adopt(record)

    async def apply(self, workload: Workload, *, progress: Progress | None = None) -> None:
        """Make it so. Raises NeverReady, or Failed for a job that did not end well; the old revision is untouched then."""
        async with self._lock:
            tell = progress or (lambda message: None)
            if workload.kind == "job":
                await self._run_job(workload)
                return
            if workload.kind == "resource":
                await self._replace(workload, tell=tell)
                return
            before, self.wanted = self.wanted, workload
            current = [replica for replica in self.replicas if replica.workload.revision == workload.revision]
            try:
                await self._grow(workload, count=workload.replicas - len(current), tell=tell)
                await self._see_ready(current, tell=tell)
            except BaseException:
                self.wanted = before if self.replicas else workload
                raise
            await self._settle_on(workload, current)

    async def settle(self, *, tell: Progress) -> None:
        """Wait until all of it is as wanted: replicas that are missing are started, those that start get their time.
        Raises NeverReady where that does not come true."""
        async with self._lock:
            await self._grow(self.wanted, count=self.wanted.replicas - len(self.replicas), tell=tell)
            await self._see_ready(self.replicas, tell=tell)

    async def restart(self, *, progress: Progress | None = None) -> None:
        """New processes of the same revision in place of all that run."""
        async with self._lock:
            old = list(self.replicas)
            if self.wanted.kind == "resource":
                await self._retire(old)
                old = []
            await self._grow(self.wanted, count=self.wanted.replicas, tell=progress or (lambda message: None))
            await self._retire(old)

    async def remove(self) -> None:
        """Stop all of it, at once."""
        async with self._lock:
            for replica in self.replicas:
                replica.is_promoted = False
            await self.publish()
            await asyncio.gather(*(replica.stop() for replica in list(self.replicas)))

    async def publish(self) -> None:
        """Tell the data plane where the replicas are that may get requests now."""
        async with self._publishing:
            serving = tuple(one for replica in self.replicas if (one := _serving(replica)))
            await self._publish(self.key, serving)

    async def _replace(self, workload: Workload, *, tell: Progress) -> None:
        """The old revision ends before the new one starts; when that never becomes ready the old one is started again."""
        before, self.wanted = self.wanted, workload
        old = [replica for replica in self.replicas if replica.workload.revision != workload.revision]
        await self._retire(old)
        try:
            await self._grow(workload, count=workload.replicas - len(self.replicas), tell=tell)
            await self._see_ready(self.replicas, tell=tell)
        except BaseException:
            self.wanted = before
            if old:
                await asyncio.shield(self._grow(before, count=before.replicas, tell=tell))
            raise

    async def _settle_on(self, workload: Workload, current: Sequence[Replica]) -> None:
        """The new revision serves: the old one goes, and of the same one what is too much."""
        surplus = list(current[workload.replicas :]) if len(current) > workload.replicas else []
        old = [replica for replica in self.replicas if replica.workload.revision != workload.revision]
        for replica in self.replicas:
            if replica not in old and replica.workload != workload:
                replica.workload = workload
                await replica.record()
        await self._retire([*old, *surplus])

    async def _grow(self, workload: Workload, *, count: int, tell: Progress) -> None:
        """Start so many more and wait until all are ready and published. Raises NeverReady, with none of them left."""
        if count <= 0:
            return
        tell(say("starting"))
        fresh = [self._new(workload) for _ in range(count)]
        for replica in fresh:
            replica.start()
        try:
            well = await asyncio.gather(*(replica.settled() for replica in fresh))
        except BaseException:
            await asyncio.shield(self._discard(fresh))
            raise
        if not all(well):
            failure = _never_ready(self._around, next(r for r, good in zip(fresh, well, strict=True) if not good))
            await self._discard(fresh)
            raise failure
        for replica in fresh:
            replica.is_promoted = True
        await self.publish()
        tell(say("ready"))

    async def _see_ready(self, replicas: Sequence[Replica], *, tell: Progress) -> None:
        """Give replicas that were there before the time that a new one has, and raise NeverReady for one that loops."""
        deadline = time.monotonic() + self.wanted.startup
        waiting = [replica for replica in replicas if not replica.is_ready]
        if waiting:
            tell(say("waiting until it is ready again"))
        for replica in waiting:
            while not replica.is_ready and not replica.machine.is_gone:
                if replica.machine.state == "crash_loop" or time.monotonic() > deadline:
                    raise _never_ready(self._around, replica)
                await asyncio.sleep(_LOOK)

    async def _discard(self, fresh: Sequence[Replica]) -> None:
        await asyncio.gather(*(replica.stop() for replica in fresh))
        self.replicas = [replica for replica in self.replicas if replica not in fresh]

    async def _retire(self, old: Sequence[Replica]) -> None:
        if not old:
            return
        for replica in old:
            replica.is_promoted = False
        await self.publish()
        await asyncio.sleep(DRAIN)
        await asyncio.gather(*(replica.stop() for replica in old))

    async def _run_job(self, workload: Workload) -> None:
        self.wanted = workload
        replica = self._new(workload)
        replica.start()
        try:
            well = await replica.settled()
        except BaseException:
            await asyncio.shield(replica.stop())
            raise
        self._last_run = replica.instance()
        if not well:
            tail = logs.last_lines(replica.log_file)
            raise NeverReady(
                say("job {name} failed: {reason}", name=self.key.name, reason=replica.machine.reason),
                tail=tail,
                hint=walled(tail) if self._around.room(self.key) else "",
            )

    def _new(self, workload: Workload, *, identifier: str | None = None, zone: str | None = None) -> Replica:
        name = identifier or f"{self.key.name}-{self.key.version}-{secrets.token_hex(4)}"
        zone = _emptiest(workload, self.replicas) if zone is None else zone
        replica = Replica(workload, identifier=name, zone=zone, around=self._around, on_change=self._changed)
        self.replicas.append(replica)
        return replica

    async def _changed(self, replica: Replica, what: str) -> None:
        machine = replica.machine
        if what == "gone":
            self.replicas = [other for other in self.replicas if other is not replica]
        if what in ("publish", "withdraw") and replica.is_promoted:
            await self.publish()
        if what == "exit" and not machine.is_stopping and not machine.terms.is_job and not machine.is_on_trial:
            await asyncio.sleep(0)  # let the machine take the exit in first
            self._tell(replica, "exit", say("ended unexpectedly and is being restarted"), "warning")
            return
        self._tell(
            replica, what, machine.reason, "warning" if what == "withdraw" and not machine.is_stopping else "info"
        )

    def _tell(self, replica: Replica, kind: str, message: str, level: Literal["info", "warning", "error"]) -> None:
        self._on_event(Event(time.time(), self.key, kind, message, level, replica.id))


def _emptiest(workload: Workload, replicas: Sequence[Replica]) -> str:
    """The place with the fewest replicas of this revision, the first of equals; "" where it names none."""
    taken = Counter(replica.zone for replica in replicas if replica.workload.revision == workload.revision)
    return min(workload.zones, key=lambda zone: taken[zone], default="")


def _serving(replica: Replica) -> Serving | None:
    """What the data plane must know of it; None for nothing."""
    zone, zones = replica.zone, replica.workload.zones
    if not replica.is_promoted or replica.port is None or not (replica.is_ready or zone):
        return None
    return Serving(replica.port, zone, zones.index(zone) if zone in zones else len(zones), replica.is_ready)


def _never_ready(around: Surroundings, replica: Replica) -> NeverReady:
    key, reason = replica.workload.key, replica.machine.reason
    tail = logs.last_lines(replica.log_file)
    return NeverReady(
        say("{name} did not become ready: {reason}", name=f"{key.name} {key.version}", reason=reason),
        tail=tail,
        hint=(walled(tail) if around.room(key) else "") or _hint(reason),
    )


def walled(tail: Sequence[str]) -> str:
    """What to do where the last lines tell of a place that was not reached; empty where they do not."""
    if not _UNREACHED.search("\n".join(tail)):
        return ""
    return say(
        "it has a network of its own, in which there is what its needs name: say what it dials there, as in "
        "needs: [tcp://localhost:5432]; or AIC_ISOLATION=off"
    )


def _hint(reason: str) -> str:
    if "127" in reason:
        return say("is the program installed, and named in requirements.txt or package.json?")
    return say("`aic logs` shows everything it printed; does it listen on $PORT?")
