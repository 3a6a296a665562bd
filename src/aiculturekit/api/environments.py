"""The routes about the environments of an application file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from aiculturekit.api import bodies
from aiculturekit.control.environments import Environments
from aiculturekit.control.placements import Caller
from aiculturekit.control.promotions import Promotion, Promotions
from aiculturekit.endpoints import Before, Endpoints, Noted

Json = dict[str, Any]
Author = Annotated[str, Noted("author")]


class Promote(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    origin: str = Field(description="The environment whose release is brought here.")
    release: int | None = Field(
        None, ge=1, description="The release that has to run there; whichever does when left out."
    )
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    kubeconfig: str = Field("", max_length=4096, description="The caller's $KUBECONFIG, with absolute paths.")
    variables: bodies.Variables = {}


def router(environments: Environments, promotions: Promotions, *, authorize: Before) -> Endpoints:
    routes = Endpoints(prefix="/api/v1/environments", before=authorize)
    _looking(routes, environments)
    _promoting(routes, promotions)
    return routes


def _looking(routes: Endpoints, environments: Environments) -> None:
    @routes.get("", summary="The environments of a file: target, release, health")
    async def listed(file: str, kubeconfig: str = "") -> list[Json]:
        return await environments.listed(Path(file), caller=Caller(kubeconfig=kubeconfig))

    @routes.get("/{environment}", summary="What the file says for one, what runs there, and its secrets by reference")
    async def shown(environment: str, file: str, kubeconfig: str = "") -> Json:
        return await environments.shown(Path(file), environment=environment, caller=Caller(kubeconfig=kubeconfig))

    @routes.get("/{environment}/differences/{other}", summary="What differs between two: in the file, and in what runs")
    async def different(environment: str, other: str, file: str, kubeconfig: str = "") -> Json:
        caller = Caller(kubeconfig=kubeconfig)
        return await environments.different(Path(file), one=environment, other=other, caller=caller)


def _promoting(routes: Endpoints, promotions: Promotions) -> None:
    @routes.post("/{environment}/promote", status=202, summary="Bring here what runs in another environment")
    async def promote(environment: str, body: Promote, author: Author) -> Json:
        caller = Caller(author=author, reason=body.reason, kubeconfig=body.kubeconfig, variables=body.variables)
        return (await promotions.start(_promotion(environment, body), caller=caller)).as_dict()

    @routes.post("/{environment}/promote/plan", summary="What promoting would change, and why")
    async def plan(environment: str, body: Promote) -> Json:
        caller = Caller(kubeconfig=body.kubeconfig, variables=body.variables)
        return await promotions.plan(_promotion(environment, body), caller=caller)


def _promotion(environment: str, body: Promote) -> Promotion:
    return Promotion(Path(body.file), origin=body.origin, to=environment, release=body.release)
