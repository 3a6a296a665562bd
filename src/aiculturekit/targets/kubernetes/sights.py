"""What runs, as rows like those of this machine's workloads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiculturekit.targets.kubernetes import troubles

Json = dict[str, Any]
_NAME = "app.kubernetes.io/name"
_KINDS = {"Deployment": "service", "StatefulSet": "resource", "Job": "job", "CronJob": "job"}


def rows(key: str, listed: Mapping[str, Sequence[Json]], *, pods: Sequence[Json]) -> list[Json]:
    """`listed` has the objects by kind. A Job that a CronJob made is a run of that one."""
    found = [
        _row(key, kind, one, _of(one, pods, listed.get("ReplicaSet", ())))
        for kind in _KINDS
        for one in listed.get(kind, ())
        if not (kind == "Job" and one["metadata"].get("ownerReferences"))
    ]
    return sorted(found, key=lambda row: (list(_KINDS.values()).index(row["kind"]), row["name"], row["version"]))


def _row(key: str, kind: str, one: Json, pods: Sequence[Json]) -> Json:
    metadata, status, spec = one["metadata"], one.get("status", {}), one.get("spec", {})
    labels = metadata.get("labels", {})
    name = labels.get(_NAME, metadata["name"])
    version = spec.get("template", {}).get("metadata", {}).get("labels", {}).get("version", "")
    replicas = spec.get("replicas", 1) if kind in ("Deployment", "StatefulSet") else 1
    ready = status.get("readyReplicas", 0)
    trouble = troubles.of_pods(pods)
    row = {
        "app": key,
        "name": name if kind != "Job" else metadata["name"],
        "kind": _KINDS[kind],
        "version": version,
        "object": f"{kind}/{metadata['name']}",
        "image": _image(spec, name),
        "digests": _digests(pods, name),
        "replicas": replicas,
        "restarts": sum(_restarts(pod) for pod in pods),
        "pods": [pod["metadata"]["name"] for pod in pods],
    }
    if kind in ("Job", "CronJob"):
        state = _job_state(status) if kind == "Job" else "scheduled"
        return row | {
            "ready": int(state in ("done", "scheduled")),
            "state": state,
            "reason": str(trouble or "") if state == "failed" else "",
        }
    is_whole = ready >= replicas and status.get("updatedReplicas", replicas) >= replicas
    state = "ready" if is_whole else "starting" if trouble is None or trouble.patience is None else "failed"
    return row | {"ready": ready, "state": state, "reason": "" if is_whole else str(trouble or "")}


def _image(spec: Json, name: str) -> str:
    """Of the workload's own container."""
    template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template", {})
    containers = template.get("spec", {}).get("containers") or [{}]
    return str(next((one for one in containers if one.get("name") == name), containers[0]).get("image", ""))


def _digests(pods: Sequence[Json], name: str) -> list[str]:
    """What the image's name led to when those of the pods that stay pulled it. An image that no registry gave has none."""
    found = {
        one.get("imageID", "").partition("@")[2]
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        for one in pod.get("status", {}).get("containerStatuses") or ()
        if one["name"] == name
    }
    return sorted(found - {""})


def pod_rows(pods: Iterable[Json]) -> list[Json]:
    """A row for each pod, those with trouble first: {name, workload, version, state, reason, restarts, node, started_at}."""
    return sorted((_pod_row(pod) for pod in pods), key=lambda row: (not row["reason"], row["workload"], row["name"]))


def _pod_row(pod: Json) -> Json:
    labels, status = pod["metadata"].get("labels", {}), pod.get("status", {})
    trouble = troubles.of_pods([pod])
    return {
        "name": pod["metadata"]["name"],
        "workload": labels.get("app", ""),
        "version": labels.get("version", ""),
        "state": _pod_state(pod, is_hopeless=trouble is not None and trouble.patience is not None),
        "reason": str(trouble or ""),
        "restarts": _restarts(pod),
        "node": pod["spec"].get("nodeName", ""),
        "started_at": status.get("startTime"),
    }


def _pod_state(pod: Json, *, is_hopeless: bool) -> str:
    phase = pod.get("status", {}).get("phase", "Pending")
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping"
    if phase == "Succeeded":
        return "done"
    if phase == "Failed" or is_hopeless:
        return "failed"
    listed = pod.get("status", {}).get("conditions") or ()
    is_ready = any((one["type"], one["status"]) == ("Ready", "True") for one in listed)
    return "ready" if is_ready else "starting"


def _job_state(status: Json) -> str:
    kinds = {one["type"] for one in status.get("conditions") or () if one["status"] == "True"}
    return "done" if "Complete" in kinds else "failed" if "Failed" in kinds else "starting"


def _of(one: Json, pods: Iterable[Json], sets: Iterable[Json]) -> list[Json]:
    owners = {one["metadata"]["uid"]}
    owners |= {each["metadata"]["uid"] for each in sets if _owner(each) in owners}
    return [pod for pod in pods if _owner(pod) in owners]


def _owner(one: Json) -> str:
    return next((str(owner["uid"]) for owner in one["metadata"].get("ownerReferences") or ()), "")


def _restarts(pod: Json) -> int:
    return sum(one.get("restartCount", 0) for one in pod.get("status", {}).get("containerStatuses") or ())


def log_record(key: str, pod: Json, line: str) -> Json:
    """A line as the server gives it with its time: `2026-01-02T03:04:05.123456789Z text`."""
    at, _, text = line.partition(" ")
    labels = pod["metadata"].get("labels", {})
    return {
        "app": key,
        "at": f"{at[:26].rstrip('Z')}Z",
        "workload": labels.get("app", ""),
        "version": labels.get("version", ""),
        "instance": pod["metadata"]["name"],
        "level": "info",
        "message": text,
        "fields": {},
    }
