"""The routes of the delivery record."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from aiculturekit.control.deploys import Figures
from aiculturekit.endpoints import Before, Endpoints

Json = dict[str, Any]
DAY = 86400.0
Since = Annotated[float, Field(gt=0, le=400 * DAY)]


def router(figures: Figures, *, authorize: Before) -> Endpoints:
    routes = Endpoints(prefix="/api/v1/deploys", before=authorize)

    @routes.get(
        "", summary="Deploys of the last `since` seconds, and their figures: success, times, failures, utilisation"
    )
    async def all_of(since: Since = 30 * DAY, app: str | None = None) -> Json:
        return await figures.all(since=since, app=app)

    return routes
