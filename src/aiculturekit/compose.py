"""The single composition root: settings -> state, engine, mesh, target -> control. Only this module sees all parts."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import platform as system
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aiculturekit import state, threads
from aiculturekit.control import masks, trusts
from aiculturekit.control.applications import Applications
from aiculturekit.control.arrivals import Arrivals
from aiculturekit.control.autoscalers import Autoscaler
from aiculturekit.control.backups import Backups
from aiculturekit.control.branches import Branches
from aiculturekit.control.clusters import Clusters
from aiculturekit.control.deliveries import Deliveries, telling
from aiculturekit.control.deploys import Deploys, Figures
from aiculturekit.control.environments import Environments
from aiculturekit.control.feeds import Feeds
from aiculturekit.control.flows import Flows
from aiculturekit.control.guests import Guests
from aiculturekit.control.hubs import Hub
from aiculturekit.control.lives import Life
from aiculturekit.control.observations import Observations
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.control.overviews import Overviews
from aiculturekit.control.placements import Pin, Placement, Placements
from aiculturekit.control.promotions import Promotions
from aiculturekit.control.resources import Resources
from aiculturekit.control.rollouts import Parts as RolloutParts
from aiculturekit.control.rotations import Rotations
from aiculturekit.control.sightings import Sightings
from aiculturekit.control.snapshots import Snapshots
from aiculturekit.control.utilisations import Utilisations
from aiculturekit.control.views import Views
from aiculturekit.deploy.changes import Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.engine import isolation
from aiculturekit.engine import ports as engine_ports
from aiculturekit.engine import rooms as engine_rooms
from aiculturekit.engine.rooms import Rooms
from aiculturekit.engine.schedules import Scheduler
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Event, Key, Serving
from aiculturekit.errors import UsageError
from aiculturekit.language import say
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Gateway, Realm, Replica
from aiculturekit.plan.documents import Document
from aiculturekit.registry import LOADING
from aiculturekit.resources import places
from aiculturekit.settings import GATEWAY_PORT, TRUST_DOMAIN, Settings
from aiculturekit.spec.models import Application
from aiculturekit.state import replicas, settings, terms
from aiculturekit.state.databases import Database
from aiculturekit.targets import nodes
from aiculturekit.targets.kubernetes import clients
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.local import Local, Ports
from aiculturekit.targets.local.backups import Backups as Archive
from aiculturekit.targets.local.branches import Branches as Scions
from aiculturekit.targets.local.credentials import Credentials
from aiculturekit.targets.local.inspections import Inspections
from aiculturekit.targets.local.snapshots import Snapshots as Copies
from aiculturekit.targets.local.stores import Stores

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a front can be given."""

    settings: Settings
    database: Database
    engine: Engine
    mesh: Mesh
    target: Local
    hub: Hub
    operations: Operations
    applications: Applications
    deliveries: Deliveries
    placements: Placements
    arrivals: Arrivals
    clusters: Clusters
    environments: Environments
    promotions: Promotions
    figures: Figures
    overviews: Overviews
    snapshots: Snapshots
    backups: Backups
    branches: Branches
    rotations: Rotations
    scions: Scions
    resources: Resources
    guests: Guests
    observations: Observations
    views: Views
    feeds: Feeds
    flows: Flows
    life: Life
    ports: Ports
    tasks: list[asyncio.Task[Any]]

    async def close(self) -> None:
        """Let go of everything; processes and Envoy go on serving."""
        await self.arrivals.close()
        await self.operations.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.scions.close_all()
        await self.observations.close()
        await self.engine.close()
        await self.mesh.close()
        await self.database.close()


class Ledger:
    """The engine's ledger, kept in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, record: dict[str, Any]) -> None:
        await self._database.run(replicas.put, record)

    async def remove(self, identifier: str) -> None:
        await self._database.run(replicas.remove, identifier)

    async def all(self) -> list[dict[str, Any]]:
        return await self._database.run(replicas.all)


async def compose(
    given: Settings, *, platform: Callable[[], dict[str, Any]], require: Callable[[], None] = lambda: None
) -> Parts:
    """Build all parts and bring them to life. `platform` answers the daemon's own part of the status view; `require` raises where the
    daemon must not change anything any more. One that sits in a cluster has nothing on its own machine: no Envoy, no processes."""
    isolated = isolation.decide(given.isolation)
    log.info("%s", isolated.meaning)
    rooms = Rooms(given.home / "run") if isolated.is_on else None
    if rooms is not None:
        await threads.run(rooms.open)
    database = await threads.run(state.open, given.state_url)
    if given.seat is not None:
        database.require(partial(terms.require, number=await database.run(terms.begin)))
    node = await database.run(_node_name)
    hub, late, scheduler = Hub(), _Late(), Scheduler()
    trust_domain = await database.run(_trust_domain, given.trust_domain)
    mesh = Mesh(home=given.home, node=node, on_event=late.mesh_event, lives=given.lives, trust_domain=trust_domain)
    ports = Ports(
        database=database,
        allocate=lambda taken: engine_ports.allocate({*taken, *engine.ports}),
        taken=lambda held: _taken_by_others(held, mesh=mesh, is_isolated=isolated.is_on),
    )
    engine = Engine(
        home=given.home,
        node=node,
        ledger=Ledger(database),
        publish=partial(_publish, mesh),
        on_event=late.engine_event,
        rooms=rooms,
        held=lambda: {*ports.held.values()},
    )
    await ports.open()
    ingress_port = await ports.prefer(
        "ingress",
        port=0 if given.is_isolated else given.ingress_port,
        is_free=lambda port: engine_ports.is_free(port) or mesh.holds(port),
    )
    gateway = await _gateway(given, ports, holds=mesh.holds)
    stores = Stores(home=given.home, engine=engine, credentials=Credentials(database))
    target = Local(
        home=given.home,
        engine=engine,
        mesh=mesh,
        ports=ports,
        scheduler=scheduler,
        inherited=_inherited(given.home, os.environ),
        ingress_port=ingress_port,
        realm=lambda: Realm(trust_domain, mesh.trust.federation.neighbours(), gateway),
        tracing=given.tracing,
        rooms=rooms,
        stand_ins=given.stand_ins,
        stores=stores,
    )
    pipeline = Pipeline(database=database, target=target)
    deploys = late.deploys = Deploys(database)
    operations = Operations(on_end=late.operation_end)
    copies = Copies(home=given.home, engine=engine, stores=stores)
    applications = Applications(
        home=given.home,
        database=database,
        target=target,
        pipeline=pipeline,
        engine=engine,
        operations=operations,
        snapshots=copies,
    )
    snapshots = Snapshots(database=database, target=target, store=copies, operations=operations)
    backups = Backups(
        database=database,
        target=target,
        store=Archive(home=given.home, node=node, snapshots=copies, stores=stores),
        operations=operations,
    )
    scions = Scions(home=given.home, node=node, snapshots=copies, stores=stores)
    branches = Branches(target=target, store=scions, operations=operations)
    rotations = Rotations(database=database, target=target, stores=stores, operations=operations)
    looks = Inspections(home=given.home, engine=engine, stores=stores)
    resources = Resources(target=target, looks=looks, url=lambda url: masks.mask("", url)[0])
    guests = Guests(database=database, target=target, stores=stores)
    delivering = RolloutParts(database, target, pipeline, engine, mesh, operations, telling(hub.tell))
    deliveries = Deliveries(home=given.home, applications=applications, parts=delivering)
    placements = Placements(
        database=database,
        operations=operations,
        open_client=_own_cluster if given.seat else _cluster,
        pin=_pinning(given.home),
        holder=node if given.seat else f"{system.node()}/{node}",
        require=require,
    )
    arrivals = Arrivals(database=database, placements=placements, operations=operations)
    clusters = Clusters(placements)
    sightings = Sightings(database)
    await sightings.open()
    observations = Observations(mesh=mesh, hub=hub, sightings=sightings)
    views = Views(
        home=given.home,
        database=database,
        target=target,
        engine=engine,
        observations=observations,
        operations=operations,
        platform=lambda: (
            platform()
            | {
                "ingress": f"http://127.0.0.1:{ingress_port}",
                "envoy": {"pid": mesh.pid},
                "trust": trusts.summary(mesh.trust) | {"gateway": f"{gateway.host}:{gateway.port}"},
                "isolation": isolated.kind,
                "isolation_reason": isolated.reason,
            }
        ),
    )
    environments = Environments(database=database, views=views, placements=placements, clusters=clusters)
    promotions = Promotions(environments, placements)
    overviews = Overviews(
        database=database,
        views=views,
        placements=placements,
        clusters=clusters,
        environments=environments,
        promotions=promotions,
    )
    feeds = late.feeds = Feeds(home=given.home, database=database, hub=hub, views=views)
    flows = Flows(
        views=views, observations=observations, sightings=sightings, in_force=target.in_force, refusals=feeds.refusals
    )
    life = Life(
        database=database,
        target=target,
        pipeline=pipeline,
        engine=engine,
        operations=operations,
        applications=applications,
    )
    if given.seat is None:
        await mesh.start()
        await life.begin()
        await deliveries.begin()
    if rooms is None:
        await threads.run(engine_rooms.clear, given.home / "run")
    await placements.resume()
    await arrivals.resume()
    autoscaler = Autoscaler(target=target, engine=engine, observations=observations, record=feeds.on_scaling)
    tasks: list[asyncio.Task[Any]] = []
    if given.seat is None:
        works = (
            observations.watch(),
            _follow_refusals(mesh, feeds),
            autoscaler.watch(),
            backups.watch(),
            backups.carry(),
            guests.begin(),
            snapshots.begin(),
            threads.run(places.sweep),
        )
        tasks += [asyncio.create_task(work) for work in works]
    return Parts(
        settings=given,
        database=database,
        engine=engine,
        mesh=mesh,
        target=target,
        hub=hub,
        operations=operations,
        applications=applications,
        deliveries=deliveries,
        placements=placements,
        arrivals=arrivals,
        clusters=clusters,
        environments=environments,
        promotions=promotions,
        overviews=overviews,
        figures=Figures(deploys, Utilisations(database=database, engine=engine, placements=placements)),
        snapshots=snapshots,
        backups=backups,
        branches=branches,
        rotations=rotations,
        scions=scions,
        resources=resources,
        guests=guests,
        observations=observations,
        views=views,
        feeds=feeds,
        flows=flows,
        life=life,
        ports=ports,
        tasks=tasks,
    )


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


async def _publish(mesh: Mesh, key: Key, serving: Iterable[Serving]) -> None:
    listed = [Replica(one.port, one.zone, one.rank, one.is_ready) for one in serving]
    await mesh.publish(key.app, key.name, version=key.version, ports=listed)


async def _follow_refusals(mesh: Mesh, feeds: Feeds) -> None:
    async for refusal in mesh.refusals():
        await feeds.on_refusal(refusal)


def _node_name(connection: Any) -> str:
    """This home's name on the machine: the mark that its processes carry."""
    name = settings.get(connection, "node")
    if name is None:
        name = secrets.token_hex(8)
        settings.put(connection, "node", value=name)
    return name


def _trust_domain(connection: Any, asked: str) -> str:
    """The trust domain that this home took at its first start. Raises UsageError for another: every certificate has it in its name."""
    name = settings.get(connection, "trust_domain")
    if name is None:
        name = asked or TRUST_DOMAIN
        settings.put(connection, "trust_domain", value=name)
    if asked and asked != name:
        raise UsageError(
            say("this home's trust domain is {name}, not {asked}", name=name, asked=asked),
            hint=say("unset AIC_TRUST_DOMAIN, or use another AIC_HOME"),
        )
    return name


def _taken_by_others(held: Mapping[str, int], *, mesh: Mesh, is_isolated: bool) -> set[str]:
    """The names of doors whose port some other program has. Those in network namespaces have no others beside them."""
    doors = {name: port for name, port in held.items() if nodes.is_in_sight(name, is_isolated=is_isolated)}
    busy = {name for name, port in doors.items() if not engine_ports.is_free(port)}
    ours = mesh.held() if busy else set()
    return {name for name in busy if doors[name] not in ours}


async def _gateway(given: Settings, ports: Ports, *, holds: Callable[[int], bool]) -> Gateway:
    """Where workloads of other nodes come in, should there be any."""
    if given.gateway is not None:
        return given.gateway
    preferred = 0 if given.is_isolated else GATEWAY_PORT
    port = await ports.prefer("gateway", port=preferred, is_free=lambda port: engine_ports.is_free(port) or holds(port))
    return Gateway("127.0.0.1", port)


def _inherited(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment, with a `python` at the end of PATH for machines that only have `python3`."""
    path = environ.get("PATH", os.defpath)
    if shutil.which("python", path=path):
        return dict(environ)
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "python"
    if not link.is_symlink():
        link.symlink_to(getattr(sys, "_base_executable", sys.executable))
    return {**environ, "PATH": f"{path}:{folder}"}
