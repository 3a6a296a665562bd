"""A version of a service: Deployment, how it scales, what may be taken from it at once. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import files, pods
from aiculturekit.targets.kubernetes.objects import Key, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

_USUAL_CPU = 70
"""Percent of what is asked for: what a range without a measure scales by."""
Json = dict[str, Any]


def deployment_name(name: str, version: str) -> str:
    return f"{name}-{version}"


def rendered(app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    name, _, version = document.name.partition("/")
    scale = document.body["scale"]
    own = deployment_name(name, version)
    yield _deployment(app, document, own, documents, cluster)
    if scale["max"] > scale["min"]:
        yield _scaler(app, document, own, cluster)
    if scale["min"] > 1:
        selector = {"matchLabels": {"app": name, "version": version}}
        spec = {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
        yield Owned(
            document.key,
            made("policy/v1", "PodDisruptionBudget", own, app=app, cluster=cluster, component=name, spec=spec),
        )


def _deployment(app: str, document: Document, own: str, documents: Sequence[Document], cluster: Cluster) -> Owned:
    name, _, version = document.name.partition("/")
    body, selector = document.body, {"app": name, "version": version}
    template = pods.template(app, document, documents=documents, cluster=cluster)
    template["spec"]["topologySpreadConstraints"] = [_spread(topology, selector) for topology in _PLACES]
    spec: Json = {
        "selector": {"matchLabels": selector},
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": math.ceil(body["startup"]) + 120,
        "strategy": _strategy(document, documents),
        "template": template,
    }
    if body["scale"]["max"] == body["scale"]["min"]:  # else it is the scaler's, and nobody else's
        spec["replicas"] = body["scale"]["min"]
    return Owned(document.key, made("apps/v1", "Deployment", own, app=app, cluster=cluster, component=name, spec=spec))


_PLACES = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def _spread(topology: str, selector: dict[str, str]) -> Json:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
    }


def _strategy(document: Document, documents: Sequence[Document]) -> Json:
    """New replicas first. Who works with files is alone with them: one after the other."""
    if any(files.needed(document, documents)):
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _scaler(app: str, document: Document, own: str, cluster: Cluster) -> Owned:
    name, scale = document.name.partition("/")[0], document.body["scale"]
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": own}
    if cluster.autoscaler == "keda":
        spec: Json = {
            "scaleTargetRef": reference,
            "minReplicaCount": scale["min"],
            "maxReplicaCount": scale["max"],
            "triggers": list(_triggers(app, name, scale, cluster)),
        }
        return _owned(document.key, "keda.sh/v1alpha1", "ScaledObject", own, app, cluster, name, spec)
    target = {"type": "Utilization", "averageUtilization": _USUAL_CPU}
    if scale["cpu"]:
        target = {"type": "AverageValue", "averageValue": f"{round(scale['cpu'] * 10)}m"}
    spec = {
        "scaleTargetRef": reference,
        "minReplicas": max(1, scale["min"]),
        "maxReplicas": scale["max"],
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return _owned(document.key, "autoscaling/v2", "HorizontalPodAutoscaler", own, app, cluster, name, spec)


def _triggers(app: str, name: str, scale: Json, cluster: Cluster) -> Iterator[Json]:
    """KEDA's own words (https://keda.sh/docs/latest/scalers/); requests are what Istio's proxies count."""
    if scale["rps"]:
        labels = f'reporter="destination",destination_workload_namespace="{cluster.namespace}",destination_app="{name}"'
        query = f"sum(rate(istio_requests_total{{{labels}}}[1m]))"
        yield {
            "type": "prometheus",
            "metadata": {"serverAddress": cluster.prometheus, "query": query, "threshold": f"{scale['rps']:g}"},
        }
    if scale["cpu"] or not scale["rps"]:
        value = f"{round(scale['cpu'] * 10)}m" if scale["cpu"] else str(_USUAL_CPU)
        kind = "AverageValue" if scale["cpu"] else "Utilization"
        yield {"type": "cpu", "metricType": kind, "metadata": {"value": value}}


def _owned(key: Key, api: str, kind: str, own: str, app: str, cluster: Cluster, component: str, spec: Json) -> Owned:
    return Owned(key, made(api, kind, own, app=app, cluster=cluster, component=component, spec=spec))
