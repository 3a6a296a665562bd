"""All parts of a daemon, and how they come to life and let go."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from aiculturekit import threads
from aiculturekit.compose.holdings import Holdings
from aiculturekit.compose.machines import Machine
from aiculturekit.compose.places import Places
from aiculturekit.compose.sights import Sights
from aiculturekit.compose.works import Works
from aiculturekit.control.deploys import Deploys
from aiculturekit.control.feeds import Feeds
from aiculturekit.control.hubs import Hub
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.engine import rooms
from aiculturekit.engine.workloads import Event
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.resources import places as folders
from aiculturekit.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a front can be given."""

    machine: Machine
    works: Works
    holdings: Holdings
    sights: Sights
    places: Places
    tasks: list[asyncio.Task[Any]] = dataclasses.field(default_factory=list)

    async def close(self) -> None:
        """Let go of everything; processes and Envoy go on serving."""
        await self.places.arrivals.close()
        await self.works.operations.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.holdings.scions.close_all()
        await self.sights.observations.close()
        await self.machine.close()


async def compose(
    given: Settings, *, platform: Callable[[], dict[str, Any]], require: Callable[[], None] = lambda: None
) -> Parts:
    """Build all parts and bring them to life. `platform` answers the daemon's own part of the status view; `require` raises where the
    daemon must not change anything any more. One that sits in a cluster has nothing on its own machine: no Envoy, no processes."""
    late = _Late()
    machine = await Machine.assembled(given, on_event=late.engine_event, on_mesh=late.mesh_event)
    deploys = late.deploys = Deploys(machine.database)
    works = Works.of(machine, Hub(), Operations(on_end=late.operation_end))
    seen = await Sights.of(machine, works, platform=platform)
    late.feeds = seen.feeds
    parts = Parts(
        machine,
        works,
        Holdings.of(machine, works),
        seen,
        Places.of(machine, works, seen, deploys, require=require),
    )
    await _begin(parts)
    return parts


async def _begin(parts: Parts) -> None:
    machine, works, places = parts.machine, parts.works, parts.places
    is_alone = machine.given.seat is None
    if is_alone:
        await machine.mesh.start()
        await works.life.begin()
        await works.deliveries.begin()
    if machine.rooms is None:
        await threads.run(rooms.clear, machine.home / "run")
    await places.placements.resume()
    await places.arrivals.resume()
    if is_alone:
        parts.tasks.extend(asyncio.create_task(work) for work in _works(parts))


def _works(parts: Parts) -> tuple[Any, ...]:
    """What goes on for as long as the daemon lives, or once beside its start."""
    return (
        parts.sights.observations.watch(),
        _follow_refusals(parts.machine.mesh, parts.sights.feeds),
        parts.sights.autoscaler.watch(),
        parts.holdings.backups.watch(),
        parts.holdings.backups.carry(),
        parts.holdings.guests.begin(),
        parts.holdings.snapshots.begin(),
        threads.run(folders.sweep),
    )


async def _follow_refusals(mesh: Mesh, feeds: Feeds) -> None:
    async for refusal in mesh.refusals():
        await feeds.on_refusal(refusal)


class _Late:
    """Callbacks for parts that are made before the one that they tell."""

    def __init__(self) -> None:
        self.feeds: Feeds | None = None
        self.deploys: Deploys | None = None

    def engine_event(self, event: Event) -> None:
        if self.feeds is not None:
            self.feeds.on_event(event)

    def mesh_event(self, message: str) -> None:
        if self.feeds is not None:
            self.feeds.on_mesh(message)

    async def operation_end(self, operation: Operation) -> None:
        if self.deploys is not None:
            await self.deploys.ended(operation)
        if self.feeds is not None:
            await self.feeds.on_operation(operation)
