"""Pods: one container with the least that it needs, under the `restricted` Pod Security level. Pure.

(https://kubernetes.io/docs/concepts/security/pod-security-standards/)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit import shells
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import files, variables
from aiculturekit.targets.kubernetes.objects import PORT, USER, pod_labels
from aiculturekit.targets.kubernetes.places import Cluster

LEAVING = 15
"""Seconds between the end of a pod's share in its Services and its request to stop: everybody has heard by then that it is gone. kube-proxy
has after one or two; an ingress controller collects news first (Traefik for two seconds) and may want the processor like all others; a
cloud's load balancer is told last (https://docs.aws.amazon.com/eks/latest/best-practices/load-balancing.html)."""
_LEAST = {"cpu": "50m", "memory": "64Mi"}
"""What is asked for where the file says nothing."""
Json = dict[str, Any]


def template(
    app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster, command: str = ""
) -> Json:
    """The pod template of a workload, a job or a migration; `command` in place of the document's own."""
    name, _, version = document.name.partition("/")
    body = document.body
    container: Json = {
        "name": name,
        "image": body["image"],
        "imagePullPolicy": "IfNotPresent",
        "env": variables.of(app, document, documents=documents, cluster=cluster),
        "resources": bounds(body["limits"]),
        "securityContext": confined(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *files.mounts(document, documents)],  # noqa: S108
    }
    if said := command or body.get("run"):
        container["command"] = shell(said)
    if document.kind == "workload":
        container |= {"ports": [{"name": "serving", "containerPort": PORT}], **_asked(body), **leaving()}
    spec = spec_of(
        container,
        account=name,
        cluster=cluster,
        grace=body.get("grace", 10.0),
        volumes=files.volumes(document, documents),
    )
    labels = pod_labels(app, cluster, name=name, version=version or "v1")
    return {"metadata": {"labels": labels | dict(cluster.flavor.identity_labels)}, "spec": spec}


def spec_of(
    container: Json,
    *,
    account: str,
    cluster: Cluster,
    grace: float = 10.0,
    volumes: Sequence[Json] = (),
    user: int = USER,
) -> Json:
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _owned(cluster, user),
        "terminationGracePeriodSeconds": math.ceil(grace) + (LEAVING if "lifecycle" in container else 0),
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
    }


def shell(command: str) -> list[str]:
    return ["/bin/sh", "-c", shells.command(command)]


def confined() -> Json:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def leaving() -> Json:
    """A pod stops to be an endpoint and is asked to stop at the same moment; whoever has not heard of the one yet still calls it.
    (Kubernetes 1.30 and later sleep by themselves, without a shell: KEP-3960.)"""
    return {"lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}}}


def bounds(limits: Mapping[str, Any]) -> Json:
    """What the file allows a replica is asked for, too: a node never promises what it has not."""
    said: Json = {}
    if limits.get("cpu"):
        said["cpu"] = f"{round(limits['cpu'] * 1000)}m"
    if limits.get("memory"):
        said["memory"] = str(limits["memory"])
    return {"requests": _LEAST | said} | ({"limits": said} if said else {})


def probe(asked: Mapping[str, Any] | None, *, port: int | str = "serving") -> Json:
    """A question in Kubernetes' words; without one, that the port accepts connections is enough."""
    body = asked or {"kind": "tcp", "every": 5.0, "timeout": 2.0, "fails": 3}
    match body["kind"]:
        case "http":
            question: Json = {"httpGet": {"path": body["path"], "port": port}}
        case "exec":
            question = {"exec": {"command": ["/bin/sh", "-c", body["command"]]}}
        case _:
            question = {"tcpSocket": {"port": port}}
    return question | {
        "periodSeconds": max(1, math.ceil(body["every"])),
        "timeoutSeconds": max(1, math.ceil(body["timeout"])),
        "failureThreshold": body["fails"],
    }


def starting(asked: Mapping[str, Any] | None, *, seconds: float, port: int | str = "serving") -> Json:
    """Asked each second until it is well for the first time."""
    return probe(asked, port=port) | {"periodSeconds": 1, "failureThreshold": max(1, math.ceil(seconds))}


def _asked(body: Mapping[str, Any]) -> Json:
    found = {
        "startupProbe": starting(body.get("readiness"), seconds=body["startup"]),
        "readinessProbe": probe(body.get("readiness")),
    }
    return found | ({"livenessProbe": probe(body["liveness"])} if body.get("liveness") else {})


def _owned(cluster: Cluster, user: int) -> Json:
    numbers = {} if cluster.flavor.picks_user else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
    return {"runAsNonRoot": True, **numbers, "seccompProfile": {"type": "RuntimeDefault"}}
