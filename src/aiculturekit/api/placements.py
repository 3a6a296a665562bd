"""The routes about applications in clusters. {placement} reads APP@ENVIRONMENT."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aiculturekit.api import bodies, streams
from aiculturekit.control.arrivals import Arrivals, Request
from aiculturekit.control.clusters import Clusters
from aiculturekit.control.placements import Caller, Placements
from aiculturekit.control.plans import described
from aiculturekit.control.views import Views
from aiculturekit.endpoints import Before, Endpoints, Noted

Json = dict[str, Any]
Author = Annotated[str, Noted("author")]
Tail = Annotated[int, Field(ge=0, le=10000)]


class Deploy(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    environment: str = Field(description="The environment, whose target is a cluster.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    kubeconfig: str = Field("", max_length=4096, description="The caller's $KUBECONFIG, with absolute paths.")
    variables: bodies.Variables = {}
    force_conflicts: bool = Field(False, description="Take over what other managers have of the objects.")


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["resource", "server", "access", "migration", "workload", "route", "ingress", "job"]
    name: str
    body: dict[str, Any]


class Parcel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    app: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$", description="The application.")
    environment: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$", description="The environment.")
    target: str = Field(max_length=4096, description="The cluster, by URL; the daemon's own where it sits in one.")
    documents: list[Record] = Field(description="All of the application's documents, each workload with its image.")
    file: str = Field("", description="Where the file is, for the release's record.")
    text: str = Field("", description="What it says.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    secrets: dict[str, str] = Field({}, repr=False, description="Values by reference: secret:env/NAME.")
    force_conflicts: bool = Field(False, description="Take over what other managers have of the objects.")


def router(
    placements: Placements, arrivals: Arrivals, clusters: Clusters, views: Views, *, authorize: Before
) -> Endpoints:
    routes = Endpoints(prefix="/api/v1/placements", before=authorize)
    _deploying(routes, placements)
    _receiving(routes, arrivals)
    _changing(routes, arrivals)
    _looking(routes, clusters)
    _remembering(routes, placements, views)
    return routes


def _deploying(routes: Endpoints, placements: Placements) -> None:
    @routes.post("", status=202, summary="Make the file true in a cluster")
    async def deploy(body: Deploy, author: Author) -> Json:
        caller = Caller(author=author, reason=body.reason, kubeconfig=body.kubeconfig, variables=body.variables)
        started = await placements.deploy(
            Path(body.file), environment=body.environment, caller=caller, takes_over=body.force_conflicts
        )
        return started.as_dict()

    @routes.post("/plan", summary="What deploying would change there, and why")
    async def plan(body: Deploy) -> list[Json]:
        caller = Caller(kubeconfig=body.kubeconfig, variables=body.variables)
        return described(*await placements.plan(Path(body.file), environment=body.environment, caller=caller))

    @routes.get("", summary="Applications in clusters that were deployed from here")
    async def known() -> list[str]:
        return await placements.known()


def _receiving(routes: Endpoints, arrivals: Arrivals) -> None:
    @routes.post("/documents", status=202, summary="Make documents true that were packed elsewhere")
    async def receive(body: Parcel, author: Author) -> Json:
        caller = Caller(author=author, reason=body.reason)
        given = body.model_dump(exclude={"secrets"})
        request = Request("deploy", f"{body.app}@{body.environment}", given, caller, secrets=body.secrets)
        return (await arrivals.take(request)).as_dict()

    @routes.post("/documents/plan", summary="What that would change, and why")
    async def foresee(body: Parcel) -> list[Json]:
        return [step.as_dict() for step in await arrivals.foresee(body.model_dump())]

    @routes.get("/{placement}/operations/{name}", summary="What became of a request, whichever daemon took it")
    async def told(placement: str, name: str) -> Json:
        return dict(await arrivals.told(name))


def _changing(routes: Endpoints, arrivals: Arrivals) -> None:
    @routes.delete(
        "/{placement}", status=202, summary="Remove it from its cluster; its data stays, unless volumes=true"
    )
    async def down(placement: str, author: Author, volumes: bool = False, kubeconfig: str = "", file: str = "") -> Json:
        caller = Caller(author=author, kubeconfig=kubeconfig, file=file)
        return (await arrivals.take(Request("down", placement, {"volumes": volumes}, caller))).as_dict()

    @routes.post("/{placement}/rollback", status=202, summary="Back to an earlier release")
    async def rollback(
        placement: str, body: bodies.Rollback, author: Author, kubeconfig: str = "", file: str = ""
    ) -> Json:
        caller = Caller(author=author, reason=body.reason, kubeconfig=kubeconfig, file=file)
        return (await arrivals.take(Request("rollback", placement, {"number": body.release}, caller))).as_dict()

    @routes.post("/{placement}/traffic/{service}", status=202, summary="Shift traffic between versions")
    async def shift(
        placement: str, service: str, body: bodies.Traffic, author: Author, kubeconfig: str = "", file: str = ""
    ) -> Json:
        caller = Caller(author=author, kubeconfig=kubeconfig, file=file)
        arguments = {"service": service, "weights": dict(body.weights)}
        return (await arrivals.take(Request("traffic", placement, arguments, caller))).as_dict()


def _looking(routes: Endpoints, clusters: Clusters) -> None:
    @routes.get("/{placement}", summary="Where it is: context, namespace, kubeconfig")
    async def place(placement: str, kubeconfig: str = "", file: str = "") -> Json:
        return await clusters.place(placement, caller=Caller(kubeconfig=kubeconfig, file=file))

    @routes.get("/{placement}/entry", summary="The service of its public path")
    async def entry(placement: str, kubeconfig: str = "", file: str = "") -> Json:
        return await clusters.entry(placement, caller=Caller(kubeconfig=kubeconfig, file=file))

    @routes.get("/{placement}/workloads", summary="What runs there")
    async def workloads(placement: str, kubeconfig: str = "", file: str = "") -> list[Json]:
        return await clusters.workloads(placement, caller=Caller(kubeconfig=kubeconfig, file=file))

    @routes.get("/{placement}/pods", summary="How each pod does, and why not better")
    async def pods(placement: str, kubeconfig: str = "", file: str = "") -> list[Json]:
        return await clusters.pods(placement, caller=Caller(kubeconfig=kubeconfig, file=file))

    @routes.get("/{placement}/logs", summary="What pods print; with follow=true as server-sent events")
    async def logs(
        placement: str,
        workload: str | None = None,
        tail: Tail = 200,
        follow: bool = False,
        kubeconfig: str = "",
        file: str = "",
    ) -> Any:
        caller = Caller(kubeconfig=kubeconfig, file=file)
        if follow:
            return streams.response(
                _named("log", clusters.follow(placement, workload=workload, tail=tail, caller=caller))
            )
        return await clusters.logs(placement, workload=workload, tail=tail, caller=caller)


def _remembering(routes: Endpoints, placements: Placements, views: Views) -> None:
    @routes.get("/{placement}/releases", summary="Releases, newest first")
    async def releases(placement: str, kubeconfig: str = "", file: str = "") -> list[Json]:
        await placements.learn(placement, caller=Caller(kubeconfig=kubeconfig, file=file))
        return await views.releases(placement)


async def _named(kind: str, payloads: AsyncIterator[Json]) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    async for payload in payloads:
        yield kind, payload
