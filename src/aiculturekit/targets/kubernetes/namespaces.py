"""The room of an application: its Namespace with the Pod Security level, what a container may ask for, who its workloads are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aiculturekit.targets.kubernetes.objects import APPLICATION, Owned, labels, made
from aiculturekit.targets.kubernetes.places import Cluster

_INJECTED: dict[str, dict[str, dict[str, str]]] = {
    "istio": {"labels": {"istio-injection": "enabled"}},
    "linkerd": {"annotations": {"linkerd.io/inject": "enabled"}},
}
_PRIVILEGED = ("istio", "linkerd")
"""Their init containers redirect a pod's traffic, for which lower levels have no room (unless a network plugin does it)."""


def rendered(app: str, *, accounts: Iterable[str], cluster: Cluster) -> Iterator[Owned]:
    yield Owned(APPLICATION, _namespace(app, cluster))
    for name in sorted(set(accounts)):
        manifest = made("v1", "ServiceAccount", name, app=app, cluster=cluster, component=name)
        pulls = {"imagePullSecrets": [{"name": cluster.pull_secret}]} if cluster.pull_secret else {}
        yield Owned(APPLICATION, manifest | {"automountServiceAccountToken": False} | pulls)
    yield Owned(APPLICATION, made("v1", "LimitRange", app, app=app, cluster=cluster, spec={"limits": [_USUAL]}))
    hard = {"limits.cpu": cluster.cpu, "limits.memory": cluster.memory}
    if bounded := {name: value for name, value in hard.items() if value}:
        yield Owned(APPLICATION, made("v1", "ResourceQuota", app, app=app, cluster=cluster, spec={"hard": bounded}))


_USUAL: dict[str, Any] = {
    "type": "Container",
    "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
    "default": {"cpu": "2", "memory": "1Gi"},
}
"""What a container has that asks for nothing: enough to be scheduled honestly, and not the whole node."""


def _namespace(app: str, cluster: Cluster) -> dict[str, Any]:
    level = "privileged" if cluster.mesh in _PRIVILEGED and not cluster.has_cni else "restricted"
    security = {
        "pod-security.kubernetes.io/enforce": level,
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/warn": "restricted" if level == "restricted" else "baseline",
    }
    mesh = _INJECTED.get(cluster.mesh, {})
    metadata: dict[str, Any] = {
        "name": cluster.namespace,
        "labels": labels(app, cluster) | security | mesh.get("labels", {}),
    }
    if "annotations" in mesh:
        metadata["annotations"] = dict(mesh["annotations"])
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
