"""What runs in one environment is brought to another: the same images, with the other one's own overrides and secrets.

Nothing is built. What runs has to be what the file says for where it runs, for only then does the file say for the other environment
what was tried. A tag may have moved since it was pulled there: what goes on is the digest that it led to then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import wishes
from aiculturekit.control.environments import Environments, Standing, is_cluster, key_of
from aiculturekit.control.operations import Operation
from aiculturekit.control.placements import Caller, Carried, Placements
from aiculturekit.control.plans import described
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import Mistake, Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step, changed_keys
from aiculturekit.spec import load
from aiculturekit.spec.models import Application
from aiculturekit.targets.kubernetes.givens import NUMBERS
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.nodes import RUNNING

Json = dict[str, Any]
Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Promotion:
    """`release` is the one of `origin` that a plan was made of; None is the one that runs now."""

    file: Path
    origin: str
    to: str
    release: int | None = None


class Promotions:
    def __init__(self, environments: Environments, placements: Placements) -> None:
        self._environments, self._placements = environments, placements

    async def plan(self, promotion: Promotion, *, caller: Caller) -> Json:
        """What `start` would do now: {release, steps}. Touches nothing. Raises as `start`."""
        standing, carried = await self._carried(promotion, caller)
        caller = await self._bound_for(promotion, caller)
        application, steps = await self._placements.plan(
            promotion.file, environment=promotion.to, caller=caller, carried=carried
        )
        return {"release": _number(standing), "steps": described(application, steps)}

    async def start(self, promotion: Promotion, *, caller: Caller) -> Operation:
        """Begin. Raises Refused where what runs is not well, is another release than was asked for, or is not what the file says; and what
        `deploy` raises."""
        standing, carried = await self._carried(promotion, caller)
        caller = await self._bound_for(promotion, caller)
        said = say("what runs in {origin}, release {release}", origin=promotion.origin, release=_number(standing))
        caller = dataclasses.replace(caller, reason=caller.reason or said)
        return await self._placements.deploy(promotion.file, environment=promotion.to, caller=caller, carried=carried)

    async def _bound_for(self, promotion: Promotion, caller: Caller) -> Caller:
        """Who has no kubeconfig of his own (the console) has the one that is remembered of where it goes; where nothing was deployed to
        yet, the one that the origin was deployed with."""
        if caller.kubeconfig:
            return caller
        file = wishes.named(promotion.file)
        for name in (promotion.to, promotion.origin):
            application = await threads.run(load.load, file, environment=name)
            if known := await self._placements.remembered(key_of(application)):
                return dataclasses.replace(caller, kubeconfig=known)
        return caller

    async def _carried(self, promotion: Promotion, caller: Caller) -> tuple[Standing, Carried]:
        file = wishes.named(promotion.file)
        origin = await threads.run(load.load, file, environment=promotion.origin)
        target = await threads.run(load.load, file, environment=promotion.to)
        _refuse_places(origin, target)
        standing = await self._environments.standing(origin, caller)
        _refuse_unwell(origin, standing, promotion.release)
        running, sources = _running(standing), _sources(standing)
        as_is = Carried(_Images(running), sources=sources)
        _, steps = await self._placements.plan(file, environment=promotion.origin, caller=caller, carried=as_is)
        _refuse_changed(origin, [step for step in steps if not _is_of_values(step)])
        return standing, Carried(_Images(running, proven=_proven(standing)), sources=sources)


class _Images:
    """The images that run, for the same documents elsewhere. One that the file names stays, with the digest that it was brought there with,
    or that its name led to there: `proven`, by name."""

    def __init__(self, running: Mapping[Key, str], *, proven: Mapping[str, str] | None = None) -> None:
        self._running, self._proven = running, proven or {}

    async def __call__(
        self,
        application: Application,
        documents: Sequence[Document],
        *,
        cluster: Cluster,
        is_pushed: bool,
        emit: Emit,
    ) -> tuple[Document, ...]:
        return tuple(self._with(one, application) if one.kind in RUNNING else one for one in documents)

    def _with(self, document: Document, application: Application) -> Document:
        image = self._running.get(document.key)
        if "image" in document.body:
            return self._at_digest(document, image or "")
        if image is None:
            raise Refused(
                say(
                    "{name} of {environment} runs nowhere yet", name=document.name, environment=application.environment
                ),
                hint=say("deploy it there first: `aic deploy --to {environment}`", environment=application.environment),
            )
        kept = {key: value for key, value in document.body.items() if key != "run" or document.kind == "migration"}
        return Document(document.kind, document.name, {**kept, "image": image})

    def _at_digest(self, document: Document, running: str) -> Document:
        said = str(document.body["image"])
        if running.partition("@")[0] == said:
            said = running
        if "@" not in said and said in self._proven:
            said = f"{said}@{self._proven[said]}"
        return Document(document.kind, document.name, {**document.body, "image": said})


def _refuse_places(origin: Application, target: Application) -> None:
    if origin.environment == target.environment:
        raise Mistake(say("{name} is where it runs already", name=target.environment))
    for application in (origin, target):
        if not is_cluster(application):
            raise Mistake(
                say("{name} is of this machine: what runs here has no image", name=application.environment),
                hint=say("`aic deploy --to {name}` builds and pushes images", name=target.environment)
                if application is origin
                else say("`aic up --env {name}` runs it here", name=application.environment),
            )


def _refuse_unwell(origin: Application, standing: Standing, release: int | None) -> None:
    name = key_of(origin)
    if standing.trouble:
        raise Refused(say("what runs in {name} can't be seen: {why}", name=name, why=standing.trouble))
    if standing.release is None or not standing.documents:
        raise Refused(
            say("nothing runs in {name}", name=name),
            hint=say("deploy it there first: `aic deploy --to {environment}`", environment=origin.environment),
        )
    if standing.unwell:
        row = standing.unwell[0]
        why = f"{row['name']} {row['version']}: {row['reason'] or row['state']}"
        raise Refused(
            say("{name} is not well: {why}", name=name, why=why), hint=say("`aic ps {app}` shows what runs", app=name)
        )
    if release is not None and release != standing.release.number:
        raise Refused(
            say(
                "{name} runs release {now} now, not {release}", name=name, now=standing.release.number, release=release
            ),
            hint=say("look at the plan again, then promote"),
        )


def _refuse_changed(origin: Application, steps: Sequence[Step]) -> None:
    if steps:
        listed = "; ".join(f"{step.document.kind} {step.document.name}: {step.why}" for step in steps[:5])
        raise Refused(
            say("the file is not what runs in {name}: {what}", name=origin.environment, what=listed),
            hint=say(
                "deploy it there first (`aic deploy --to {environment}`), or take the file of that release",
                environment=origin.environment,
            ),
        )


def _is_of_values(step: Step) -> bool:
    """Whether it is there for another value of a secret alone: the shell has those of where it goes."""
    return step.before is not None and changed_keys(step.before.body, step.document.body) == [NUMBERS]


def _running(standing: Standing) -> dict[Key, str]:
    return {one.key: str(one.body["image"]) for one in standing.documents if "image" in one.body}


def _proven(standing: Standing) -> dict[str, str]:
    """What the names of the images that run led to: image -> digest, where it is known. Raises Refused where replicas differ."""
    found: dict[str, set[str]] = {}
    for row in standing.workloads:
        found.setdefault(row.get("image", ""), set()).update(row.get("digests", ()))
    if moved := sorted(image for image, digests in found.items() if len(digests) > 1 and "@" not in image):
        raise Refused(
            say("{image} has moved while it ran: its replicas are not all the same", image=moved[0]),
            hint=say("start them anew, so that one of them is tried: `kubectl rollout restart`; or name a digest"),
        )
    return {image: digest for image, digests in found.items() for digest in digests}


def _sources(standing: Standing) -> Mapping[str, str]:
    return standing.release.sources if standing.release else {}


def _number(standing: Standing) -> int | None:
    return standing.release.number if standing.release else None
