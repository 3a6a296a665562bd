"""The engine: groups by key, adoption of what an earlier daemon left, and housekeeping."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aiculturekit import namespaces, threads
from aiculturekit.engine import containers, host, logs
from aiculturekit.engine.groups import Group, Progress, Publish
from aiculturekit.engine.replicas import Ledger, Surroundings
from aiculturekit.engine.rooms import Rooms
from aiculturekit.engine.workloads import Event, Key, Status, Workload, from_record

log = logging.getLogger(__name__)
_HOUSEKEEPING = 2.0
_NOT_REPLICAS = ("envoy",)


class Engine:
    """`node` is this home's mark on its processes. `publish` tells the data plane what serves a key, and returns when that
    is in force. No replica gets a port of `held`."""

    def __init__(
        self,
        *,
        home: Path,
        node: str,
        ledger: Ledger,
        publish: Publish,
        on_event: Callable[[Event], None],
        rooms: Rooms | None = None,
        held: Callable[[], Collection[int]] = tuple,
    ) -> None:
        self._around = Surroundings(home, node, ledger, set(), rooms, held)
        self._publish, self._on_event = publish, on_event
        self._groups: dict[Key, Group] = {}
        self._housekeeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Adopt what the ledger names and still runs, forget what does not, and kill strays: processes with our mark that no
        record knows."""
        leading = [(pid, e) for pid, e in await threads.run(self._marked) if _leads(pid)]
        running = {(e.get(host.TOKEN, ""), pid) for pid, e in leading}
        zones = {pid: e.get(host.ZONE, "") for pid, e in leading}
        for record in await self._around.ledger.all():
            pid = record["pid"]
            is_running = (record["id"], pid) in running
            if is_running and host.is_running(pid, since=record["created"]) and self._is_at_home(record):
                self._adopt(record, zone=zones[pid])
            else:
                await threads.run(host.kill_all, record["id"], pid=None)
                await self._around.ledger.remove(record["id"])
        await self._kill_strays()
        await threads.run(
            containers.clear, self._around.home, keep={r.id for g in self._groups.values() for r in g.replicas}
        )
        for group in self._groups.values():
            await group.publish()
        self._housekeeper = asyncio.create_task(self._keep_house(), name="engine housekeeping")

    async def apply(self, workload: Workload, *, progress: Progress | None = None) -> None:
        """Make it so, and return when every replica of this revision is ready and the old ones are gone. Raises NeverReady
        (with the last log lines) having left the old revision as it was; HostTrouble."""
        group = self._groups.get(workload.key)
        if group is None:
            group = self._groups[workload.key] = self._group(workload)
        try:
            await group.apply(workload, progress=progress)
        finally:
            if workload.kind != "job" and not group.replicas and group.wanted.replicas > 0:
                self._groups.pop(workload.key, None)

    def is_short(self, app: str) -> bool:
        """Whether replicas are missing: they ended while no daemon was watching."""
        services = (g for g in self._groups.values() if g.key.app == app and g.wanted.kind != "job")
        return any(len(group.replicas) < group.wanted.replicas for group in services)

    async def settle(self, app: str, *, progress: Callable[[str, str], None]) -> None:
        """Wait until every service of the application runs as wanted. Raises NeverReady for one that does not.
        `progress` is called with (name/version, message)."""
        groups = [g for g in self._groups.values() if g.key.app == app and g.wanted.kind != "job"]
        await asyncio.gather(*(g.settle(tell=partial(progress, f"{g.key.name}/{g.key.version}")) for g in groups))

    async def remove(self, key: Key) -> None:
        """Stop all of it. Idempotent."""
        group = self._groups.get(key)
        if group is not None:
            await group.remove()
            self._groups.pop(key, None)

    async def restart(self, key: Key) -> None:
        """New processes, one revision, nothing lost. Nothing happens for a key that does not run."""
        if key in self._groups:
            await self._groups[key].restart()

    @contextlib.contextmanager
    def frozen(self, app: str) -> Iterator[None]:
        """Nobody of the application writes meanwhile: the processes of all its workloads stand still, and requests wait. Its
        resources go on."""
        held = [
            r for g in self._groups.values() if g.key.app == app and g.wanted.kind != "resource" for r in g.replicas
        ]
        for replica in held:
            replica.is_frozen = True
            replica.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for replica in held:
                replica.signal(signal.SIGCONT)
                replica.is_frozen = False

    async def stop_all(self) -> None:
        await asyncio.gather(*(self.remove(key) for key in list(self._groups)))

    async def close(self) -> None:
        """Stop supervising; everything goes on running."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        replicas = [replica for group in self._groups.values() for replica in group.replicas]
        await asyncio.gather(*(replica.let_go() for replica in replicas))

    @property
    def ports(self) -> Collection[int]:
        """Those of its replicas, the ones between two processes too."""
        return self._around.taken

    def statuses(self) -> list[Status]:
        return [group.status() for group in self._groups.values()]

    def status(self, key: Key) -> Status | None:
        group = self._groups.get(key)
        return group.status() if group else None

    def _group(self, workload: Workload) -> Group:
        return Group(workload, around=self._around, publish=self._publish, on_event=self._on_event)

    def _adopt(self, record: dict[str, Any], *, zone: str) -> None:
        workload = from_record(record["workload"])
        group = self._groups.get(workload.key)
        if group is None:
            group = self._groups[workload.key] = self._group(workload)
        self._around.taken.add(record["port"])
        group.adopt(workload, record, zone=zone)

    def _is_at_home(self, record: dict[str, Any]) -> bool:
        """Whether the process lives where it would be started now: else the data plane would look for it in vain."""
        room = self._around.room(Key(record["app"], record["name"], record["version"]))
        return namespaces.is_inside(record["pid"], room.namespace if room else None)

    def _marked(self) -> list[tuple[int, Any]]:
        return [(pid, e) for pid, e in host.marked() if e.get(host.NODE) == self._around.node]

    async def _kill_strays(self) -> None:
        """Not those of others who use the mark, such as the proxy: a stray is a token that looks like a replica of ours."""
        known = {replica.id for group in self._groups.values() for replica in group.replicas}
        for pid, environment in await threads.run(self._marked):
            token = environment.get(host.TOKEN, "")
            if token and token not in known and token not in _NOT_REPLICAS:
                log.warning("killing stray process %s (%s)", pid, token)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            files = [replica.log_file for group in self._groups.values() for replica in group.replicas]
            for file in files:
                try:
                    await threads.run(logs.rotate, file)
                except OSError as error:  # a full disk: the next round tries again
                    log.warning("%s can't be rotated: %s", file, error)


def _leads(pid: int) -> bool:
    """Whether the process leads its group: the one that was started, not one that it started."""
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False
