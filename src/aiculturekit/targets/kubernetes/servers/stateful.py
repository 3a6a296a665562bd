"""One replica whose data outlives it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import files, pods, secrets
from aiculturekit.targets.kubernetes.objects import Owned, made, pod_labels
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.nodes import SERVER_VERSION

PASSWORD = "AIC_PASSWORD"  # noqa: S105
"""The variable that has the administrator's password."""
DATA = "/data"
Json = dict[str, Any]


def rendered(
    app: str,
    document: Document,
    *,
    image: str,
    script: str,
    port: int,
    user: int,
    probe: Mapping[str, Any],
    grace: float,
    cluster: Cluster,
    env: Sequence[Json] = (),
) -> Owned:
    """`script` is what the container runs, with the administrator's password in AIC_PASSWORD, what `env` says besides, and its data below
    /data."""
    name = document.name
    selector = {"app": name, "version": SERVER_VERSION}
    container: Json = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", script],
        "env": [password(name), *env],
        "ports": [{"name": "serving", "containerPort": port}],
        "startupProbe": pods.starting(probe, seconds=300),
        "readinessProbe": pods.probe(probe),
        "resources": pods.bounds({}),
        "securityContext": pods.confined(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "data", "mountPath": DATA},
        ],
    }
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": files.claim_name(name)}}
    pod = pods.spec_of(container, account=name, cluster=cluster, grace=grace, volumes=[claim], user=user)
    spec: Json = {
        "serviceName": name,
        "replicas": 1,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": pod_labels(app, cluster, name=name, version=SERVER_VERSION)}, "spec": pod},
    }
    return Owned(
        document.key, made("apps/v1", "StatefulSet", name, app=app, cluster=cluster, component=name, spec=spec)
    )


def password(name: str) -> Json:
    key = {"name": secrets.name(name, secrets.ADMINISTRATOR), "key": "password"}
    return {"name": PASSWORD, "valueFrom": {"secretKeyRef": key}}
