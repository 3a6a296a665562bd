"""What is done with applications on this machine, one operation at a time."""

from __future__ import annotations

import dataclasses

from aiculturekit.compose.machines import Machine
from aiculturekit.control.applications import Applications
from aiculturekit.control.deliveries import Deliveries, telling
from aiculturekit.control.hubs import Hub
from aiculturekit.control.lives import Life
from aiculturekit.control.operations import Operations
from aiculturekit.control.rollouts import Parts as RolloutParts
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.targets.local.snapshots import Snapshots as Copies


@dataclasses.dataclass(frozen=True, slots=True)
class Works:
    hub: Hub
    operations: Operations
    copies: Copies
    applications: Applications
    deliveries: Deliveries
    life: Life

    @classmethod
    def of(cls, machine: Machine, hub: Hub, operations: Operations) -> Works:
        database, target, engine = machine.database, machine.target, machine.engine
        pipeline = Pipeline(database=database, target=target)
        copies = Copies(home=machine.home, engine=engine, stores=machine.stores)
        applications = Applications(
            home=machine.home,
            database=database,
            target=target,
            pipeline=pipeline,
            engine=engine,
            operations=operations,
            snapshots=copies,
        )
        parts = RolloutParts(database, target, pipeline, engine, machine.mesh, operations, telling(hub.tell))
        life = Life(
            database=database,
            target=target,
            pipeline=pipeline,
            engine=engine,
            operations=operations,
            applications=applications,
        )
        deliveries = Deliveries(home=machine.home, applications=applications, parts=parts)
        return cls(hub, operations, copies, applications, deliveries, life)
