"""What is done with an application's data, and how one looks into it."""

from __future__ import annotations

import dataclasses

from aiculturekit.compose.machines import Machine
from aiculturekit.compose.works import Works
from aiculturekit.control import masks
from aiculturekit.control.backups import Backups
from aiculturekit.control.branches import Branches
from aiculturekit.control.guests import Guests
from aiculturekit.control.resources import Resources
from aiculturekit.control.rotations import Rotations
from aiculturekit.control.snapshots import Snapshots
from aiculturekit.targets.local.backups import Backups as Archive
from aiculturekit.targets.local.branches import Branches as Scions
from aiculturekit.targets.local.inspections import Inspections


@dataclasses.dataclass(frozen=True, slots=True)
class Holdings:
    snapshots: Snapshots
    backups: Backups
    branches: Branches
    scions: Scions
    rotations: Rotations
    resources: Resources
    guests: Guests

    @classmethod
    def of(cls, machine: Machine, works: Works) -> Holdings:
        database, target, stores, operations = machine.database, machine.target, machine.stores, works.operations
        archive = Archive(home=machine.home, node=machine.node, snapshots=works.copies, stores=stores)
        scions = Scions(home=machine.home, node=machine.node, snapshots=works.copies, stores=stores)
        looks = Inspections(home=machine.home, engine=machine.engine, stores=stores)
        return cls(
            snapshots=Snapshots(database=database, target=target, store=works.copies, operations=operations),
            backups=Backups(database=database, target=target, store=archive, operations=operations),
            branches=Branches(target=target, store=scions, operations=operations),
            scions=scions,
            rotations=Rotations(database=database, target=target, stores=stores, operations=operations),
            resources=Resources(target=target, looks=looks, url=lambda url: masks.mask("", url)[0]),
            guests=Guests(database=database, target=target, stores=stores),
        )
