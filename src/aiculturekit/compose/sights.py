"""What is seen of applications, and what follows from it by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from aiculturekit.compose.machines import Machine
from aiculturekit.compose.works import Works
from aiculturekit.control.autoscalers import Autoscaler
from aiculturekit.control.feeds import Feeds
from aiculturekit.control.flows import Flows
from aiculturekit.control.observations import Observations
from aiculturekit.control.sightings import Sightings
from aiculturekit.control.views import Views


@dataclasses.dataclass(frozen=True, slots=True)
class Sights:
    observations: Observations
    views: Views
    feeds: Feeds
    flows: Flows
    autoscaler: Autoscaler

    @classmethod
    async def of(cls, machine: Machine, works: Works, *, platform: Callable[[], dict[str, Any]]) -> Sights:
        """`platform` answers the daemon's own part of the status view."""
        database, target, engine = machine.database, machine.target, machine.engine
        sightings = Sightings(database)
        await sightings.open()
        observations = Observations(mesh=machine.mesh, hub=works.hub, sightings=sightings)
        views = Views(
            home=machine.home,
            database=database,
            target=target,
            engine=engine,
            observations=observations,
            operations=works.operations,
            platform=lambda: platform() | machine.summary(),
        )
        feeds = Feeds(home=machine.home, database=database, hub=works.hub, views=views)
        return cls(
            observations=observations,
            views=views,
            feeds=feeds,
            flows=Flows(
                views=views,
                observations=observations,
                sightings=sightings,
                in_force=target.in_force,
                refusals=feeds.refusals,
            ),
            autoscaler=Autoscaler(target=target, engine=engine, observations=observations, record=feeds.on_scaling),
        )
