"""`memory:` — a target without a machine: documents are in force by being remembered. For tests, ours and the users'.

It is as strict as a real one: a workload without its access document, a route to a version that does not run, or an ingress to
a service without a route are refused, so that an order of steps that would fail elsewhere fails here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiculturekit.deploy.targets import Progress
from aiculturekit.errors import Failed, Problem
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.spec.models import Application


class Memory:
    """`world` is reality: it outlives the target, as processes outlive a daemon. `before` may raise to make a step fail."""

    def __init__(
        self,
        world: dict[str, dict[tuple[str, str], Document]] | None = None,
        *,
        before: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self.world = {} if world is None else world
        self._before = before

    def check(self, application: Application) -> list[Problem]:
        return []

    async def observe(self, app: str) -> list[Document]:
        return list(self.world.get(app, {}).values())

    async def perform(self, app: str, *, step: Step, release: int, progress: Progress) -> None:
        self._before(step)
        await asyncio.sleep(0)
        there = self.world.setdefault(app, {})
        if step.action == "delete":
            there.pop(step.document.key, None)
        else:
            _check(there, step.document)
            there[step.document.key] = step.document
        if not there:
            del self.world[app]


def _check(there: dict[tuple[str, str], Document], document: Document) -> None:
    match document.kind:
        case "workload":
            needed = [("access", document.name.partition("/")[0])]
        case "route":
            needed = [("workload", f"{document.name}/{version}") for version in document.body["weights"]]
        case "ingress":
            needed = [("route", document.body["service"])]
        case _:
            needed = []
    if missing := [key for key in needed if key not in there]:
        raise Failed(f"{document.kind} {document.name} came before {missing[0]}")
