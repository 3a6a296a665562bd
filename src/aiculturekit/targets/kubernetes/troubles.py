"""Why pods are not ready, in the cluster's own words. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.language import say

_HOPELESS = (
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)
_PULLING = ("ErrImagePull", "ImagePullBackOff")
_RESTARTS = 2
_TOLD = (
    "Unhealthy",
    "FailedScheduling",
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "Failed",
    "BackOff",
)
Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """`patience`: seconds after which it is not worth to wait any longer; None: as long as the time goes. `container` has log lines,
    those of its run before where `has_ended`."""

    pod: str
    reason: str
    message: str = ""
    patience: float | None = None
    container: str = ""
    has_ended: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


def of_pods(pods: Iterable[Json]) -> Trouble | None:
    """The worst: what gives up first."""
    found = [trouble for pod in pods for trouble in _of_pod(pod)]
    return min(found, key=lambda one: 1e9 if one.patience is None else one.patience, default=None)


def of_owner(owner: Json) -> Trouble | None:
    """Pods that could not even be made: a quota, a Pod Security level, a webhook."""
    for one in owner.get("status", {}).get("conditions") or ():
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            return Trouble("", one.get("reason", "ReplicaFailure"), one.get("message", ""), patience=5.0)
    return None


def told(events: Iterable[Json], *, pod: str) -> list[str]:
    """What was said of the pod, oldest first, each once."""
    listed = [one for one in events if one.get("involvedObject", {}).get("name") == pod and one.get("reason") in _TOLD]
    listed.sort(key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
    return list(dict.fromkeys(f"{one['reason']}: {one.get('message', '')}" for one in listed))


def probe(events: Sequence[Json], *, pod: str) -> str:
    """The last answer of a probe that failed."""
    return next(
        (line.partition(": ")[2] for line in reversed(told(events, pod=pod)) if line.startswith("Unhealthy")), ""
    )


def _of_pod(pod: Json) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for one in status.get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "False":
            yield Trouble(name, one.get("reason", "Unschedulable"), one.get("message", ""))
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        yield from _of_container(name, one, phase=status.get("phase", ""))


def _of_container(pod: str, one: Json, *, phase: str) -> Iterator[Trouble]:
    state, name = one.get("state", {}), one["name"]
    if waiting := state.get("waiting"):
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _HOPELESS or reason in _PULLING:
            yield Trouble(pod, reason, message or one.get("image", ""), patience=10.0 if reason in _PULLING else 5.0)
        elif reason == "CrashLoopBackOff":
            patience = 0.0 if one.get("restartCount", 0) >= _RESTARTS else None
            yield Trouble(pod, *_ended(one, reason), patience=patience, container=name, has_ended=True)
    elif ended := state.get("terminated"):
        if ended.get("exitCode") != 0:
            patience = 0.0 if phase == "Failed" else None
            yield Trouble(pod, *_ended(one, ended.get("reason", "")), patience=patience, container=name)
    elif "running" in state and not one.get("ready"):
        is_again = one.get("restartCount", 0) > _RESTARTS
        yield Trouble(pod, say("not ready"), patience=None, container=name, has_ended=is_again)


def _ended(one: Json, reason: str) -> tuple[str, str]:
    """`OOMKilled`, or the exit code."""
    last = one.get("state", {}).get("terminated") or one.get("lastState", {}).get("terminated") or {}
    said = last.get("reason", "")
    if said == "OOMKilled":
        return said, say("it used more memory than its limit allows")
    return reason or said, say("exit code {code}", code=last.get("exitCode", "?"))
