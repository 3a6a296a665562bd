"""A cluster as a target: a step is an announcement, a rendering of all that is in force and coming, the document's own objects one
after the other, a wait, and a second rendering without what is past.

What a step began is written down in the cluster before anything is sent. So whoever comes after a crash, on whatever machine, sees that the
document may be anything, and makes it what it has to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiculturekit.deploy.targets import Progress
from aiculturekit.errors import AicError, Problem
from aiculturekit.plan.documents import RANKS, Document, undrifted
from aiculturekit.plan.resources import documents as described
from aiculturekit.plan.steps import Step
from aiculturekit.spec.models import Application
from aiculturekit.targets.kubernetes import checks, rendering, waiting
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.drifts import marked
from aiculturekit.targets.kubernetes.objects import Owned, labels
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.shelves import Shelf
from aiculturekit.targets.kubernetes.standings import Standing, Wishes
from aiculturekit.targets.kubernetes.waiting import Looks

Json = dict[str, Any]


class Kubernetes:
    """One application in one cluster; the names that the methods are given are those of its journal."""

    def __init__(self, client: Client, *, app: str, cluster: Cluster, wishes: Wishes | None = None) -> None:
        self.client, self.app, self.cluster = client, app, cluster
        self.wishes = wishes or Wishes()
        marks = labels(app, cluster)
        shelf = Shelf(client, name=f"aic-{app}", namespace=cluster.namespace, labels=marks)
        self.history = Shelf(client, name=f"aic-{app}-releases", namespace=cluster.namespace, labels=marks)
        """What was deployed there, whoever did it: bytes for `control`."""
        self.standing = Standing(client, app=app, cluster=cluster, shelf=shelf, wishes=self.wishes)
        selector = f"app.kubernetes.io/managed-by=aic,app.kubernetes.io/part-of={app}"
        self.looks = Looks(client, namespace=cluster.namespace, labels=selector)

    def check(self, application: Application) -> list[Problem]:
        return checks.problems(application, described(application, sources={}), cluster=self.cluster)

    async def prepare(self) -> None:
        """The namespace is there: what follows is kept in it."""
        listed = rendering.rendered(self.app, (), cluster=self.cluster)
        for owned in listed:
            name = owned.manifest["metadata"]["name"]
            if owned.manifest["kind"] == "Namespace" and await self.client.get("v1", "Namespace", name) is None:
                await self.client.apply(owned.manifest)

    async def numbered(self, documents: Sequence[Document]) -> tuple[Document, ...]:
        """With the numbers of the values that whoever deploys knows."""
        return await self.standing.values.numbered(documents, secrets=self.wishes.secrets)

    async def observe(self, app: str) -> list[Document]:
        """By rank and name. One whose objects are gone, or were changed by somebody else, says so and counts as another."""
        drifted = await self.standing.load()
        known = {**self.standing.ledger.documents, **self.standing.ledger.begun}
        return sorted(
            (marked(document, drifted[key]) if key in drifted else document for key, document in known.items()),
            key=lambda one: (RANKS[one.kind], one.name),
        )

    def in_force(self) -> list[Document]:
        """As last observed, or made."""
        return sorted(self.standing.ledger.documents.values(), key=lambda one: (RANKS[one.kind], one.name))

    async def perform(self, app: str, *, step: Step, release: int, progress: Progress) -> None:
        document = undrifted(step.document)

        def tell(message: str) -> None:
            progress(document.name, message)

        if step.action == "delete":
            self.standing.leave(document.key)
            await self.standing.refresh(tell=tell)
            return
        self.standing.announce(document)
        await self.standing.refresh(tell=tell)
        await self._make(self.standing.own(document.key), tell)
        self.standing.arrive(document)
        await self.standing.refresh(tell=tell)

    async def leave(self, *, tell: Callable[[str], None]) -> None:
        """After the last document: what is everybody's goes too."""
        if not self.standing.ledger.documents:
            await self.standing.refresh(tell=tell)

    async def _make(self, objects: Sequence[Owned], tell: Any) -> None:
        """In their order. A Job is not begun before the server that it needs is ready, and is waited for itself."""
        coming: list[Owned] = []
        for owned in objects:
            if owned.manifest["kind"] == "Job":
                await self._together(coming, tell)
                coming = []
                await self._together([owned], tell)
            else:
                coming.append(owned)
        await self._together(coming, tell)

    async def _together(self, objects: Sequence[Owned], tell: Any) -> None:
        results = await asyncio.gather(*(self._one(owned, tell) for owned in objects), return_exceptions=True)
        failures = [failure for failure in results if isinstance(failure, BaseException)]
        for failure in sorted(failures, key=lambda one: not isinstance(one, AicError)):
            raise failure

    async def _one(self, owned: Owned, tell: Any) -> None:
        there = await self.standing.apply(owned, tell=tell)
        kind = owned.manifest["kind"]
        if there is not None and kind in waiting.WAITED:
            await waiting.ready({**there, "kind": kind}, looks=self.looks, tell=tell)
            self.standing.settled(owned)
