"""The environments of an application file: what runs in each, what each says, and how two of them differ. Reads only."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import comparisons, masks, times, wishes
from aiculturekit.control.clusters import Clusters
from aiculturekit.control.manifests import SCHEME
from aiculturekit.control.placements import Caller, Placement, Placements
from aiculturekit.control.views import Views
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.plan.documents import Document
from aiculturekit.spec import load, secrets
from aiculturekit.spec.models import Application
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release

Json = dict[str, Any]
PATIENCE = 10.0
"""Seconds that a cluster has to say what runs there."""
_WELL = ("ready", "done", "scheduled", "external", "exited")


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What runs in an environment, as far as it could be learned; `trouble` says why not."""

    release: Release | None
    workloads: tuple[Json, ...] = ()
    documents: tuple[Document, ...] = ()
    trouble: str = ""

    @property
    def state(self) -> str:
        if self.trouble:
            return "unknown"
        if self.release is None or not self.documents:
            return "down"
        return "serving" if not self.unwell else "degraded"

    @property
    def unwell(self) -> list[Json]:
        return [row for row in self.workloads if row["state"] not in _WELL]


class Environments:
    """`file` is an application file; `caller` is who asks, with his kubeconfig."""

    def __init__(self, *, database: Database, views: Views, placements: Placements, clusters: Clusters) -> None:
        self._database, self._views, self._placements, self._clusters = database, views, placements, clusters

    async def listed(self, file: Path, *, caller: Caller) -> list[Json]:
        """Each with its target, what release runs there, since when, by whom, and how it does."""
        place = wishes.named(file)
        names = await threads.run(load.environments, place)
        listed = dict.fromkeys((load.DEFAULT, *names))
        return list(await asyncio.gather(*(self._one(place, name, caller) for name in listed)))

    async def shown(self, file: Path, *, environment: str, caller: Caller) -> Json:
        """What the file says for it, what runs there, and which secrets it needs: their names, and whether they are there."""
        place = wishes.named(file)
        application = await threads.run(load.load, place, environment=environment)
        said = await threads.run(load.merged, place, environment=environment)
        standing = await self.standing(application, caller)
        found = [await self._resolved(at, one, application, caller) for at, one in secrets.found(said)]
        about = _row(application, standing)
        return about | {"spec": masks.within(said), "secrets": found, "workloads": list(standing.workloads)}

    async def different(self, file: Path, *, one: str, other: str, caller: Caller) -> Json:
        """What the file says differently, and what runs differently."""
        place = wishes.named(file)
        mine, theirs = [await threads.run(load.load, place, environment=name) for name in (one, other)]
        said = [await threads.run(load.merged, place, environment=name) for name in (one, other)]
        here, there = await asyncio.gather(self.standing(mine, caller), self.standing(theirs, caller))
        return {
            "a": _row(mine, here),
            "b": _row(theirs, there),
            "file": comparisons.of_files(*said),
            "workloads": comparisons.of_workloads(_briefly(here), _briefly(there)),
            "settings": comparisons.of_documents(here.documents, there.documents),
        }

    async def standing(self, application: Application, caller: Caller) -> Standing:
        """What runs where the application goes."""
        if not is_cluster(application):
            return await self._here(application)
        return await self.there(key_of(application), dataclasses.replace(caller, file=str(application.file)))

    async def there(self, key: str, caller: Caller) -> Standing:
        """What runs in a cluster under the name APP@ENVIRONMENT."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._placements.learn(key, caller=caller)
                rows = await self._clusters.workloads(key, caller=caller)
                documents = await self._in_force(key, caller)
        except TimeoutError:
            trouble = say("no answer within {seconds} s", seconds=f"{PATIENCE:g}")
        except AicError as error:
            trouble = error.message
        else:
            return Standing(await self._database.run(releases.current, key), tuple(rows), documents)
        return Standing(await self._database.run(releases.current, key), trouble=trouble)

    async def matrix(self, file: Path, *, caller: Caller) -> list[Json]:
        """As `listed`, each with its `cells`: "NAME VERSION" -> {image, ready, replicas, state, reason}."""
        place = wishes.named(file)
        names = dict.fromkeys((load.DEFAULT, *await threads.run(load.environments, place)))
        return list(await asyncio.gather(*(self._column(place, name, caller) for name in names)))

    async def placed(self, keys: Iterable[str], *, caller: Caller) -> list[Json]:
        """As `matrix`, of placements whose application's file is not here."""
        return list(await asyncio.gather(*(self._placed(key, caller) for key in keys)))

    async def _placed(self, key: str, caller: Caller) -> Json:
        place = await self._placements.find(key, caller)
        standing = await self.there(key, caller)
        return _told(place.app, place.environment, place.target, key, standing) | {"cells": _cells(standing)}

    async def _column(self, file: Path, name: str, caller: Caller) -> Json:
        application = await threads.run(load.load, file, environment=name)
        standing = await self.standing(application, caller)
        return _row(application, standing) | {"cells": _cells(standing)}

    async def _one(self, file: Path, name: str, caller: Caller) -> Json:
        application = await threads.run(load.load, file, environment=name)
        return _row(application, await self.standing(application, caller))

    async def _here(self, application: Application) -> Standing:
        """This machine has an application in one environment at a time."""
        release = await self._database.run(releases.current, application.app)
        if release is None or release.environment != application.environment:
            return Standing(None)
        rows = [row for row in (await self._views.status())["workloads"] if row["app"] == application.app]
        images = {one["name"]: one["body"].get("image", "") for one in release.documents if one["kind"] == "workload"}
        rows = [row | {"image": images.get(f"{row['name']}/{row['version']}", "")} for row in rows]
        documents = tuple(Document.from_dict(record) for record in release.documents) if rows else ()
        return Standing(release, tuple(rows), documents)

    async def _in_force(self, key: str, caller: Caller) -> tuple[Document, ...]:
        async with self._placements.target(await self._placements.find(key, caller)) as target:
            await target.observe(key)
            return tuple(target.in_force())

    async def _resolved(self, at: str, one: secrets.Reference, application: Application, caller: Caller) -> Json:
        why = await self._missing(one, application, caller)
        return {"at": at, "reference": str(one), "resolves": None if why is None else not why, "why": why or ""}

    async def _missing(self, one: secrets.Reference, application: Application, caller: Caller) -> str | None:
        """Why it can't be read; empty where it can, None where nobody can be asked."""
        if one.kind == "env":
            is_set = bool(os.environ.get(one.name))
            return "" if is_set else say("{name} is not set in your environment", name=one.name)
        if one.kind == "file":
            is_there = await threads.run(os.access, application.directory / one.name, os.R_OK)
            return "" if is_there else say("there is no file {file}", file=one.name)
        if not is_cluster(application):
            return say("only a cluster has Secrets of Kubernetes")
        return await self._missing_there(one, _placement(application, caller))

    async def _missing_there(self, one: secrets.Reference, placement: Placement) -> str | None:
        name, _, key = one.name.partition("/")
        try:
            async with asyncio.timeout(PATIENCE), self._placements.target(placement) as target:
                found = await target.client.get("v1", "Secret", name, namespace=placement.cluster.namespace)
        except (AicError, TimeoutError):
            return None
        if found is None:
            return say(
                "the namespace {namespace} has no Secret {name}", namespace=placement.cluster.namespace, name=name
            )
        return "" if key in found.get("data", {}) else say("the Secret {name} has no key {key}", name=name, key=key)


def is_cluster(application: Application) -> bool:
    return Locator.parse(application.target).scheme == SCHEME


def key_of(application: Application) -> str:
    """The name under which its releases are kept."""
    return f"{application.app}@{application.environment}" if is_cluster(application) else application.app


def _placement(application: Application, caller: Caller) -> Placement:
    return Placement(application.app, application.environment, application.target, caller.kubeconfig)


def _cells(standing: Standing) -> dict[str, Mapping[str, Any]]:
    return {f"{one['name']} {one['version']}".strip(): one for one in standing.workloads}


def _row(application: Application, standing: Standing) -> Json:
    return _told(application.app, application.environment, application.target, key_of(application), standing)


def _told(app: str, environment: str, target: str, key: str, standing: Standing) -> Json:
    release, unwell = standing.release, standing.unwell
    reason = standing.trouble or next((f"{row['name']}: {row['reason'] or row['state']}" for row in unwell), "")
    return {
        "app": app,
        "environment": environment,
        "target": str(Locator.parse(target)),
        "key": key,
        "release": release.number if release else None,
        "released_at": times.iso(release.finished_at or release.created_at) if release else None,
        "author": release.author if release else "",
        "state": standing.state,
        "ready": len(standing.workloads) - len(unwell) if not standing.trouble else None,
        "workloads": len(standing.workloads) if not standing.trouble else None,
        "reason": reason,
    }


def _briefly(standing: Standing) -> list[Json]:
    number = standing.release.number if standing.release else None
    return [
        {
            "name": row["name"],
            "version": row["version"],
            "release": number,
            "image": row.get("image", ""),
            "replicas": row["replicas"],
            "state": row["state"],
        }
        for row in standing.workloads
    ]
