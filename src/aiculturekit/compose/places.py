"""What is done in clusters, and how the environments of an application stand to each other."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from aiculturekit.compose.machines import Machine
from aiculturekit.compose.sights import Sights
from aiculturekit.compose.works import Works
from aiculturekit.control.arrivals import Arrivals
from aiculturekit.control.clusters import Clusters
from aiculturekit.control.deploys import Deploys, Figures
from aiculturekit.control.environments import Environments
from aiculturekit.control.overviews import Overviews
from aiculturekit.control.placements import Pin, Placement, Placements
from aiculturekit.control.promotions import Promotions
from aiculturekit.control.utilisations import Utilisations
from aiculturekit.deploy.changes import Emit
from aiculturekit.plan.documents import Document
from aiculturekit.registry import LOADING
from aiculturekit.spec.models import Application
from aiculturekit.targets.kubernetes import clients
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.places import Cluster


@dataclasses.dataclass(frozen=True, slots=True)
class Places:
    placements: Placements
    arrivals: Arrivals
    clusters: Clusters
    environments: Environments
    promotions: Promotions
    overviews: Overviews
    figures: Figures

    @classmethod
    def of(
        cls, machine: Machine, works: Works, sights: Sights, deploys: Deploys, *, require: Callable[[], None]
    ) -> Places:
        """`require` raises where the daemon must not change anything any more."""
        database, views, is_seated = machine.database, sights.views, machine.given.seat is not None
        placements = Placements(
            database=database,
            operations=works.operations,
            open_client=_own_cluster if is_seated else _cluster,
            pin=_pinning(machine.home),
            holder=machine.node if is_seated else f"{platform.node()}/{machine.node}",
            require=require,
        )
        clusters = Clusters(placements)
        environments = Environments(database=database, views=views, placements=placements, clusters=clusters)
        promotions = Promotions(environments, placements)
        return cls(
            placements=placements,
            arrivals=Arrivals(database=database, placements=placements, operations=works.operations),
            clusters=clusters,
            environments=environments,
            promotions=promotions,
            overviews=Overviews(
                database=database,
                views=views,
                placements=placements,
                clusters=clusters,
                environments=environments,
                promotions=promotions,
            ),
            figures=Figures(deploys, Utilisations(database=database, engine=machine.engine, placements=placements)),
        )


async def _own_cluster(_: Placement) -> Client:
    """The one that the daemon sits in, as its own service account: what a context is called elsewhere says nothing there."""
    return await clients.opened(context="", named="", asked="")


async def _cluster(placement: Placement) -> Client:
    cluster = placement.cluster
    return await clients.opened(context=cluster.context, named=cluster.kubeconfig, asked=placement.kubeconfig)


def _pinning(home: Path) -> Pin:
    async def pin(
        application: Application, documents: Sequence[Document], *, cluster: Cluster, is_pushed: bool, emit: Emit
    ) -> tuple[Document, ...]:
        with LOADING:
            from aiculturekit.control import pins  # heavy: building images is not what a daemon starts with

        return await pins.pinned(
            application, documents, cluster=cluster, store=home / "images", is_pushed=is_pushed, emit=emit
        )

    return pin
