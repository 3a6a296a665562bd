"""The routes of /api/v1. Each handler is a sentence: take the words apart, call the verb, hand back its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from aiculturekit.api import bodies, streams
from aiculturekit.control.applications import Applications
from aiculturekit.control.backups import Backups
from aiculturekit.control.branches import Branches
from aiculturekit.control.deliveries import Deliveries, Wish
from aiculturekit.control.feeds import Feeds
from aiculturekit.control.flows import Flows
from aiculturekit.control.operations import Operations
from aiculturekit.control.plans import described
from aiculturekit.control.rotations import Rotations
from aiculturekit.control.snapshots import Snapshots
from aiculturekit.control.views import Views
from aiculturekit.endpoints import Before, Endpoints, Noted

Json = dict[str, Any]
Author = Annotated[str, Noted("author")]
"""Who asks, as `authorize` found out."""


class Host(Protocol):
    """What the daemon itself can be asked for."""

    def login_url(self) -> str: ...

    async def shut_down(self, *, stop_workloads: bool) -> None: ...

    def watch(self, file: Path, environment: str | None, app: str) -> None: ...


def router(
    *,
    applications: Applications,
    deliveries: Deliveries,
    snapshots: Snapshots,
    backups: Backups,
    branches: Branches,
    rotations: Rotations,
    operations: Operations,
    views: Views,
    feeds: Feeds,
    flows: Flows,
    host: Host,
    authorize: Before,
) -> Endpoints:
    """All of the API. `authorize` lets a request pass and notes its author in `request.state`, or raises."""
    routes = Endpoints(prefix="/api/v1", before=authorize)
    _reading(routes, views)
    _flowing(routes, flows)
    _following(routes, operations, feeds)
    _changing(routes, applications, host)
    _delivering(routes, deliveries)
    _keeping(routes, snapshots)
    _backing(routes, backups)
    _branching(routes, branches)
    _rotating(routes, rotations)
    _hosting(routes, host)
    return routes


def _reading(routes: Endpoints, views: Views) -> None:
    @routes.get("/status", summary="The daemon and every workload")
    async def status() -> Json:
        return await views.status()

    @routes.get("/apps", summary="Applications")
    async def apps() -> list[Json]:
        return await views.apps()

    @routes.get("/apps/{app}", summary="One application")
    async def app(app: str) -> Json:
        return await views.app(app)

    @routes.get("/apps/{app}/workloads/{name}", summary="One workload in detail")
    async def workload(app: str, name: str) -> Json:
        return await views.workload(app, name)

    @routes.get("/apps/{app}/graph", summary="Topology with live figures")
    async def graph(app: str) -> Json:
        return await views.graph(app)

    @routes.get("/apps/{app}/releases", summary="Releases, newest first")
    async def releases(app: str) -> list[Json]:
        return await views.releases(app)

    @routes.get("/apps/{app}/releases/{number}", summary="One release with the file it was made from")
    async def release(app: str, number: int) -> Json:
        return await views.release(app, number)

    @routes.get("/changes", summary="What happened, newest first")
    async def changes(app: str | None = None, limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> list[Json]:
        return await views.changes(app, limit)

    @routes.get("/targets", summary="Where applications can run, and how well each is proven")
    async def targets() -> list[Json]:
        return await views.targets()


Seconds = Annotated[float, Field(gt=0, le=31 * 86400)]


def _flowing(routes: Endpoints, flows: Flows) -> None:
    @routes.get(
        "/apps/{app}/edges", summary="Every caller and service version with its figures; over a window in seconds"
    )
    async def edges(app: str, window: Annotated[float | None, Field(gt=0, le=900)] = None) -> list[Json]:
        return await flows.edges(app, seconds=window)

    @routes.get("/apps/{app}/history", summary="The figures of the last seconds, sample by sample")
    async def history(app: str, seconds: Annotated[float, Field(gt=0, le=900)] = 300) -> Json:
        return await flows.history(app, seconds=seconds)

    @routes.get("/apps/{app}/advice", summary="What could be better about `needs`, over a window in seconds")
    async def advice(app: str, window: Seconds = 3600) -> Json:
        return await flows.advice(app, window=window)


def _following(routes: Endpoints, operations: Operations, feeds: Feeds) -> None:
    @routes.get("/operations/{identifier}", summary="One operation")
    async def operation(identifier: str) -> Json:
        return operations.get(identifier).as_dict()

    @routes.get(
        "/operations/{identifier}/events", summary="An operation's events from the first, as server-sent events"
    )
    async def operation_events(identifier: str) -> Any:
        return streams.response(operations.get(identifier).follow())

    @routes.get("/events", summary="Live state of everything, as server-sent events")
    async def events(app: str | None = None) -> Any:
        return streams.response(feeds.live(app))

    @routes.get("/refusals", summary="Calls that no need allows")
    async def refusals(app: str | None = None) -> list[Json]:
        return feeds.refusals(app)

    @routes.get("/apps/{app}/logs", summary="Log lines; with follow=true as server-sent events")
    async def logs(
        app: str,
        workload: str | None = None,
        version: str | None = None,
        tail: Annotated[int, Field(ge=0, le=10000)] = 200,
        follow: bool = False,
    ) -> Any:
        if follow:
            return streams.response(_named("log", feeds.logs(app, workload, version, tail)))
        return await feeds.recent_logs(app, workload, version, tail)


def _changing(routes: Endpoints, applications: Applications, host: Host) -> None:
    @routes.post("/apps", status=202, summary="Bring an application up")
    async def up(body: bodies.Up, author: Author) -> Json:
        file = Path(body.file)
        operation = await applications.up(
            file, environment=body.environment, reason=body.reason, author=author, origin=body.snapshot
        )
        if body.watch:
            host.watch(file, body.environment, operation.app)
        return operation.as_dict()

    @routes.post("/plan", summary="What bringing it up would change, and why")
    async def plan(body: bodies.Plan) -> list[Json]:
        return described(*await applications.plan(Path(body.file), environment=body.environment))

    @routes.delete("/apps/{app}", status=202, summary="Take an application down; its data stays, unless volumes=true")
    async def down(app: str, author: Author, volumes: bool = False) -> Json:
        return (await applications.down(app, author=author, volumes=volumes)).as_dict()

    @routes.post(
        "/apps/{app}/workloads/{name}/restart", status=202, summary="New processes, nothing lost; a job runs now"
    )
    async def restart(app: str, name: str, author: Author) -> Json:
        return (await applications.restart(app, name=name, author=author)).as_dict()

    @routes.post("/apps/{app}/workloads/{name}/scale", status=202, summary="Run so many replicas")
    async def scale(app: str, name: str, body: bodies.Scale, author: Author) -> Json:
        started = await applications.scale(app, name=name, replicas=body.replicas, version=body.version, author=author)
        return started.as_dict()

    @routes.post("/apps/{app}/traffic/{service}", status=202, summary="Shift traffic between versions")
    async def shift(app: str, service: str, body: bodies.Traffic, author: Author) -> Json:
        return (await applications.shift(app, service=service, weights=body.weights, author=author)).as_dict()

    @routes.post("/apps/{app}/rollback", status=202, summary="Back to an earlier release")
    async def rollback(app: str, body: bodies.Rollback, author: Author) -> Json:
        return (await applications.rollback(app, number=body.release, reason=body.reason, author=author)).as_dict()


def _delivering(routes: Endpoints, deliveries: Deliveries) -> None:
    @routes.post("/deliveries", status=202, summary="Deliver a new version step by step: a canary, or blue/green")
    async def deliver(body: bodies.Deliver, author: Author) -> Json:
        wish = Wish(**body.model_dump(exclude={"file", "environment", "reason"}))
        started = await deliveries.start(
            Path(body.file), environment=body.environment, wish=wish, author=author, reason=body.reason
        )
        return started.as_dict()

    @routes.get("/apps/{app}/delivery", summary="The delivery under way, or the last one")
    async def delivery(app: str) -> Json:
        return await deliveries.state(app)

    @routes.post("/apps/{app}/delivery/promote", status=202, summary="Promote the new version now")
    async def promote(app: str, body: bodies.Word, author: Author) -> Json:
        return deliveries.promote(app, author=author, reason=body.reason).as_dict()

    @routes.post("/apps/{app}/delivery/abort", status=202, summary="Go back to what ran before")
    async def abort(app: str, body: bodies.Word, author: Author) -> Json:
        return deliveries.abort(app, author=author, reason=body.reason).as_dict()


def _keeping(routes: Endpoints, snapshots: Snapshots) -> None:
    @routes.get("/apps/{app}/snapshots", summary="Snapshots of all its data, newest first")
    async def listed(app: str) -> list[Json]:
        return await snapshots.listed(app)

    @routes.post("/apps/{app}/snapshots", status=202, summary="Save all its data as it is now")
    async def save(app: str, body: bodies.Save, author: Author) -> Json:
        return snapshots.save(app, body.name, author=author).as_dict()

    @routes.post("/apps/{app}/snapshots/{name}/restore", status=202, summary="Go back to the data of a snapshot")
    async def restore(app: str, name: str, author: Author) -> Json:
        return (await snapshots.restore(app, name, author=author)).as_dict()

    @routes.delete("/apps/{app}/snapshots/{name}", summary="Remove a snapshot")
    async def remove(app: str, name: str) -> Json:
        return await snapshots.remove(app, name)


def _backing(routes: Endpoints, backups: Backups) -> None:
    @routes.get("/apps/{app}/resources/{name}/backups", summary="Backups of a resource, newest first")
    async def listed(app: str, name: str) -> list[Json]:
        return await backups.listed(app, name)

    @routes.post("/apps/{app}/resources/{name}/backups", status=202, summary="Back a resource up now")
    async def make(app: str, name: str, author: Author) -> Json:
        return backups.make(app, name, author=author).as_dict()

    @routes.post(
        "/apps/{app}/resources/{name}/backups/{backup}/verify", status=202, summary="Prove that a backup is whole"
    )
    async def verify(app: str, name: str, backup: str, author: Author) -> Json:
        return backups.verify(app, name, backup, author=author).as_dict()

    @routes.post(
        "/apps/{app}/resources/{name}/backups/{backup}/restore", status=202, summary="Go back to the data of a backup"
    )
    async def restore(app: str, name: str, backup: str, author: Author) -> Json:
        return backups.restore(app, name, backup, author=author).as_dict()

    @routes.post("/apps/{app}/resources/{name}/rewind", status=202, summary="Go back to the data of a moment")
    async def rewind(app: str, name: str, body: bodies.Rewind, author: Author) -> Json:
        return backups.rewind(app, name, body.at, author=author).as_dict()

    @routes.get("/apps/{app}/resources/{name}/log", summary="How far its log is kept with its backups")
    async def log(app: str, name: str) -> Json:
        return await backups.log(app, name)


def _branching(routes: Endpoints, branches: Branches) -> None:
    @routes.get("/apps/{app}/branches", summary="Copies of resources that are open for tests")
    async def listed(app: str) -> list[Json]:
        return branches.listed(app)

    @routes.post("/apps/{app}/resources/{name}/branches", status=201, summary="A copy with a server of its own")
    async def branch(app: str, name: str) -> Json:
        return await branches.open(app, name)

    @routes.delete("/apps/{app}/branches/{identifier}", summary="End a copy")
    async def close(app: str, identifier: str) -> Json:
        return await branches.close(app, identifier)


def _rotating(routes: Endpoints, rotations: Rotations) -> None:
    @routes.post("/apps/{app}/resources/{name}/rotate", status=202, summary="New passwords for all who use it")
    async def rotate(app: str, name: str, author: Author) -> Json:
        return rotations.rotate(app, name, author=author).as_dict()


def _hosting(routes: Endpoints, host: Host) -> None:
    @routes.post("/login-links", summary="A link that opens the console once")
    async def login_link() -> Json:
        return {"url": host.login_url()}

    @routes.post("/shutdown", status=202, summary="End the daemon")
    async def shutdown(body: bodies.Shutdown) -> Json:
        await host.shut_down(stop_workloads=body.stop_workloads)
        return {}


async def _named(kind: str, payloads: AsyncIterator[Json]) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    async for payload in payloads:
        yield kind, payload
