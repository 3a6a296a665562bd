"""The Job that makes true in a running server what is declared: who may come in, and what is there. Pure."""

from __future__ import annotations

from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import batches, pods
from aiculturekit.targets.kubernetes.objects import Owned, pod_labels
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings
from aiculturekit.targets.kubernetes.servers.shapes import Kind
from aiculturekit.targets.kubernetes.servers.stateful import password
from aiculturekit.targets.nodes import SERVER_VERSION

Json = dict[str, Any]
_TRIES, _LONGEST = 6, 300.0


def account(server: str) -> str:
    """Who the Job is in the mesh."""
    return f"{server}-settle"


def rendered(app: str, document: Document, *, script: str, kind: Kind, cluster: Cluster) -> Owned:
    """Run for each content anew, and as often as it takes: it may be run again at any time."""
    name = account(document.name)
    container: Json = {
        "name": "settle",
        "image": kind.image(document, cluster=cluster),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", script],
        "env": [password(document.name), *settings.variables(document)],
        "resources": pods.bounds({}),
        "securityContext": pods.confined(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    pod = pods.spec_of(container, account=name, cluster=cluster, user=kind.USER) | {"restartPolicy": "Never"}
    labels = pod_labels(app, cluster, name=name, version=SERVER_VERSION)
    spec: Json = {
        "backoffLimit": _TRIES,
        "activeDeadlineSeconds": round(_LONGEST),
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return batches.once(app, name, spec, cluster=cluster, key=document.key, component=document.name)
