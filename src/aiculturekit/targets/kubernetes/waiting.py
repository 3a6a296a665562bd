"""Until what was applied runs: Deployments, StatefulSets, Jobs. All who wait look at the same lists, so that a hundred cost what one
does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.errors import AicError, NeverReady
from aiculturekit.language import say
from aiculturekit.targets.kubernetes import troubles
from aiculturekit.targets.kubernetes.answers import Ask
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.troubles import Trouble

_FRESH, _FIRST, _LONGEST = 0.2, 0.2, 1.0
_USUAL, _EXTRA = 600.0, 30.0
_LINES = 15
_APIS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1", "Pod": "v1", "ReplicaSet": "apps/v1"}
WAITED = ("Deployment", "StatefulSet", "Job")
Json = dict[str, Any]
Tell = Callable[[str], None]


class Looks:
    """The objects with these labels in the namespace, by kind and name, not older than a moment."""

    def __init__(self, client: Client, *, namespace: str, labels: str) -> None:
        self.client, self.namespace, self._labels = client, namespace, labels
        self._seen: dict[str, tuple[float, dict[str, Json]]] = {}
        self._looking: dict[str, asyncio.Lock] = {}

    async def at(self, kind: str) -> dict[str, Json]:
        async with self._looking.setdefault(kind, asyncio.Lock()):
            when, found = self._seen.get(kind, (0.0, {}))
            if time.monotonic() - when > _FRESH:
                listed = await self.client.listed(_APIS[kind], kind, namespace=self.namespace, labels=self._labels)
                found = {one["metadata"]["name"]: one for one in listed}
                self._seen[kind] = (time.monotonic(), found)
            return found


async def ready(applied: Mapping[str, Any], *, looks: Looks, tell: Tell) -> None:
    """Until the object, as the server answered with it, is what it says. Raises NeverReady with the pods' reason and their last lines."""
    kind, name = applied["kind"], applied["metadata"]["name"]
    end = time.monotonic() + _patience(applied)
    pause, said, since = _FIRST, "", dict[str, float]()
    while True:
        found = (await looks.at(kind)).get(name)
        if found is not None and _is_at(found, applied):
            is_done, line = _PROGRESS[kind](found)
            if is_done:
                return
            if line != said:
                tell(line)
                said = line
            trouble = await _trouble(found, looks)
            if _is_hopeless(found, trouble, since) or time.monotonic() > end:
                raise await _failure(found, trouble, looks, line)
        elif time.monotonic() > end:
            raise NeverReady(
                say("{kind} {name} is not there any more", kind=kind, name=name),
                hint=say("somebody deleted it: try again"),
            )
        await asyncio.sleep(pause)
        pause = min(_LONGEST, pause * 1.5)


def _is_at(found: Mapping[str, Any], applied: Mapping[str, Any]) -> bool:
    """Whether what was seen is not older than what was applied."""
    metadata, status = found["metadata"], found.get("status", {})
    if metadata["uid"] != applied["metadata"]["uid"]:
        return False
    if applied["kind"] == "Job":
        return True
    wanted = applied["metadata"].get("generation", 0)
    return bool(metadata.get("generation", 0) >= wanted and status.get("observedGeneration", 0) >= wanted)


def _patience(applied: Mapping[str, Any]) -> float:
    spec = applied.get("spec", {})
    given = spec.get("activeDeadlineSeconds") or spec.get("progressDeadlineSeconds")
    return float(given or _USUAL) + _EXTRA


def _deployment(found: Mapping[str, Any]) -> tuple[bool, str]:
    """As `kubectl rollout status` reckons."""
    wanted, status = found["spec"].get("replicas", 1), found.get("status", {})
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = min(updated, status.get("availableReplicas", 0))
    is_done = updated >= wanted and total <= updated and status.get("availableReplicas", 0) >= updated
    return is_done, say(
        "{ready} of {wanted} new replicas ready",
        ready=available if total <= updated else max(0, available - (total - updated)),
        wanted=wanted,
    )


def _stateful(found: Mapping[str, Any]) -> tuple[bool, str]:
    wanted, status = found["spec"].get("replicas", 1), found.get("status", {})
    ready = status.get("readyReplicas", 0)
    is_new = status.get("updateRevision") == status.get("currentRevision") or status.get("updatedReplicas", 0) >= wanted
    return ready >= wanted and is_new, say("{ready} of {wanted} replicas ready", ready=ready, wanted=wanted)


def _job(found: Mapping[str, Any]) -> tuple[bool, str]:
    status = found.get("status", {})
    return _has(found, "Complete"), say("running") if status.get("active") else say("starting")


_PROGRESS: Mapping[str, Callable[[Mapping[str, Any]], tuple[bool, str]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful,
    "Job": _job,
}


def _is_hopeless(found: Mapping[str, Any], trouble: Trouble | None, since: dict[str, float]) -> bool:
    if _has(found, "Failed") or _condition(found, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return True
    if trouble is None or trouble.patience is None:
        return False
    started = since.setdefault(trouble.reason, time.monotonic())
    return time.monotonic() - started >= trouble.patience


async def _trouble(found: Mapping[str, Any], looks: Looks) -> Trouble | None:
    return troubles.of_pods(await _pods(found, looks)) or troubles.of_owner(found)


async def _pods(found: Mapping[str, Any], looks: Looks) -> list[Json]:
    """Those of the newest template."""
    listed = (await looks.at("Pod")).values()
    owners = {found["metadata"]["uid"]}
    if "strategy" in found["spec"]:
        revision = found["metadata"].get("annotations", {}).get(_REVISION)
        sets = [one for one in (await looks.at("ReplicaSet")).values() if _is_owned(one, owners)]
        owners = {
            one["metadata"]["uid"] for one in sets if one["metadata"].get("annotations", {}).get(_REVISION) == revision
        }
    return [one for one in listed if _is_owned(one, owners) and "deletionTimestamp" not in one["metadata"]]


_REVISION = "deployment.kubernetes.io/revision"


def _is_owned(one: Mapping[str, Any], owners: set[str]) -> bool:
    return any(owner["uid"] in owners for owner in one["metadata"].get("ownerReferences") or ())


async def _failure(found: Mapping[str, Any], trouble: Trouble | None, looks: Looks, line: str) -> NeverReady:
    """With what can be found out; what can't is left out."""
    name = found["metadata"]["name"]
    reason, tail = line, list[str]()
    if trouble is not None:
        reason = str(trouble)
        try:
            events = await looks.client.listed("v1", "Event", namespace=looks.namespace) if trouble.pod else []
            answer = troubles.probe(events, pod=trouble.pod)
            reason = f"{reason}: {answer}" if answer and not trouble.message else reason
            tail = [*troubles.told(events, pod=trouble.pod)[-4:], *await _lines(trouble, looks)]
        except AicError as error:
            tail = [error.message]
    elif failed := _condition(found, "Failed"):
        reason = f"{failed.get('reason', '')}: {failed.get('message', '')}"
    return NeverReady(
        say("{name} did not become ready: {reason}", name=name, reason=reason),
        tail=tail,
        hint=say("`kubectl -n {namespace} describe pods` says more", namespace=looks.namespace),
    )


async def _lines(trouble: Trouble, looks: Looks) -> list[str]:
    if not trouble.container:
        return []
    path = f"/api/v1/namespaces/{looks.namespace}/pods/{trouble.pod}/log"
    query = {"container": trouble.container, "tailLines": str(_LINES), "previous": str(trouble.has_ended).lower()}
    try:
        text = await looks.client.text(path, ask=Ask("get", f"Pod {trouble.pod}", "pods/log"), **query)
    except AicError:
        return []
    return text.splitlines()[-_LINES:]


def _has(found: Mapping[str, Any], kind: str) -> bool:
    return bool(_condition(found, kind).get("status") == "True")


def _condition(found: Mapping[str, Any], kind: str) -> Json:
    return next((one for one in found.get("status", {}).get("conditions") or () if one["type"] == kind), {})
