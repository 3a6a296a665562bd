"""What the console shows of clusters and environments, put together from what is known here and what a cluster answers. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import plans, times
from aiculturekit.control.clusters import Clusters
from aiculturekit.control.environments import PATIENCE, Environments
from aiculturekit.control.placements import Caller, Placements
from aiculturekit.control.promotions import Promotion, Promotions
from aiculturekit.control.views import Views
from aiculturekit.errors import AicError, NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.state import releases
from aiculturekit.state.databases import Database

Json = dict[str, Any]
LONGEST = 120.0
"""Seconds that a plan may take: it builds what the file says to know its digest."""


class Overviews:
    def __init__(
        self,
        *,
        database: Database,
        views: Views,
        placements: Placements,
        clusters: Clusters,
        environments: Environments,
        promotions: Promotions,
    ) -> None:
        self._database, self._views, self._placements, self._clusters = database, views, placements, clusters
        self._environments, self._promotions = environments, promotions
        self._caller = Caller()

    async def known(self) -> list[str]:
        """The names of all placements: APP@ENVIRONMENT."""
        return await self._placements.known()

    async def placement(self, key: str) -> Json:
        """All that its page shows. Raises NotFound."""
        found = await self._placements.find(key, self._caller)
        standing, (pods, _) = await asyncio.gather(self._environments.there(key, self._caller), self._pods(key))
        return {
            "app": found.app,
            "environment": found.environment,
            "key": key,
            "target": found.target,
            "context": found.cluster.context,
            "namespace": found.cluster.namespace,
            "mesh": found.cluster.mesh,
            "state": standing.state,
            "trouble": standing.trouble,
            "release": standing.release.number if standing.release else None,
            "updated_at": times.iso(standing.release.created_at) if standing.release else None,
            "file": await self._file([key]),
            "workloads": list(standing.workloads),
            "pods": pods,
            "services": _split(standing.documents),
            "releases": await self._releases(key),
        }

    async def releases(self, key: str) -> list[Json]:
        await self._placements.find(key, self._caller)
        return await self._releases(key)

    async def plan(self, key: str) -> Json:
        """What a deploy of the file would change: {file, steps, trouble}. Raises NotFound."""
        found, file = await self._placements.find(key, self._caller), await self._file([key])
        if not file:
            return {
                "file": "",
                "steps": [],
                "trouble": say("the file that it was deployed from is not on this machine"),
            }
        try:
            async with asyncio.timeout(LONGEST):
                planned = await self._placements.plan(Path(file), environment=found.environment, caller=self._caller)
        except TimeoutError:
            return {"file": file, "steps": [], "trouble": say("no answer within {seconds} s", seconds=f"{LONGEST:g}")}
        except AicError as error:
            return {"file": file, "steps": [], "trouble": str(error)}
        return {"file": file, "steps": plans.described(*planned), "trouble": ""}

    async def matrix(self) -> list[Json]:
        """One entry for each application: {app, file, environments, workloads, trouble}."""
        keys = [*(one["app"] for one in await self._views.apps()), *await self.known()]
        names = dict.fromkeys(key.partition("@")[0] for key in keys)
        return list(
            await asyncio.gather(*(self._of(name, [key for key in keys if _is_of(key, name)]) for name in names))
        )

    async def differences(self, app: str, one: str, other: str) -> Json:
        """How two environments of an application differ, and what promoting would change: `plan`, or why not: `refusal`. Raises
        NotFound."""
        keys = [app, *(key for key in await self.known() if _is_of(key, app))]
        file = await self._file(keys)
        if not file:
            raise NotFound(say("no application {app}", app=app), hint=say("`aic ps` lists them"))
        place = Path(file)
        found = await self._environments.different(place, one=one, other=other, caller=self._caller)
        found |= {"app": app, "file_differences": found["file"], "file": file, "plan": None, "refusal": ""}
        try:
            promotion = Promotion(place, origin=one, to=other)
            found["plan"] = await self._promotions.plan(promotion, caller=self._caller)
        except AicError as error:
            found["refusal"] = str(error)
        return found

    async def _of(self, app: str, keys: list[str]) -> Json:
        file, rows, trouble = await self._file(keys), [], ""
        try:
            rows = await self._rows(file, keys)
        except AicError as error:
            trouble = str(error)
        if not file and not rows:
            trouble = say("the file that it was deployed from is not on this machine")
        names = sorted({name for row in rows for name in row["cells"]})
        return {"app": app, "file": file, "environments": rows, "workloads": names, "trouble": trouble}

    async def _rows(self, file: str, keys: Iterable[str]) -> list[Json]:
        """Without the file: where it was deployed to. In a cluster no file ever is."""
        if file:
            return await self._environments.matrix(Path(file), caller=self._caller)
        return await self._environments.placed([key for key in keys if "@" in key], caller=self._caller)

    async def _file(self, keys: Iterable[str]) -> str:
        """The application file of the newest release that was made from one that is there; empty where there is none."""
        for key in keys:
            for release in await self._database.run(releases.history, key):
                is_there = bool(release.file) and await threads.run(Path(release.file).is_file)
                if is_there:
                    return release.file
        return ""

    async def _releases(self, key: str) -> list[Json]:
        try:
            return await self._views.releases(key)
        except NotFound:
            return []

    async def _pods(self, key: str) -> tuple[list[Json], str]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._clusters.pods(key, caller=self._caller), ""
        except TimeoutError:
            return [], say("no answer within {seconds} s", seconds=f"{PATIENCE:g}")
        except AicError as error:
            return [], error.message


def _split(documents: Iterable[Document]) -> list[Json]:
    """Services with several versions, each with its weight in percent."""
    weights = {one.name: one.body["weights"] for one in documents if one.kind == "route"}
    return [
        {
            "name": name,
            "versions": [{"version": version, "weight": weight} for version, weight in sorted(given.items())],
        }
        for name, given in sorted(weights.items())
        if len(given) > 1
    ]


def _is_of(key: str, app: str) -> bool:
    return key.partition("@")[0] == app
