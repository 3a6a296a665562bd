"""The Job that makes true in a running server what is declared: who may come in, and what is there. Pure."""

from __future__ import annotations

from typing import Any, Protocol

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import batches, pods, secrets
from aiculturekit.targets.kubernetes.objects import Owned, pod_labels
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers.stateful import password
from aiculturekit.targets.nodes import SERVER_VERSION

Json = dict[str, Any]
_TRIES, _LONGEST = 6, 300.0


class Client(Protocol):
    """The image that has the server's own client, and the number of its user."""

    USER: int

    def image(self, document: Document, *, cluster: Cluster) -> str: ...


def account(server: str) -> str:
    """Who the Job is in the mesh."""
    return f"{server}-settle"


def variable(at: int) -> str:
    """The variable that has the password of the server's user with this number."""
    return f"AIC_PASSWORD_{at}"


def rendered(app: str, document: Document, *, script: str, client: Client, cluster: Cluster) -> Owned:
    """Run for each content anew, and as often as it takes: it may be run again at any time."""
    name = account(document.name)
    logins = [
        {
            "name": variable(at),
            "valueFrom": {"secretKeyRef": {"name": secrets.name(document.name, login), "key": "password"}},
        }
        for at, (login, _) in enumerate(document.body["users"])
    ]
    container: Json = {
        "name": "settle",
        "image": client.image(document, cluster=cluster),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", script],
        "env": [password(document.name), *logins],
        "resources": pods.bounds({}),
        "securityContext": pods.confined(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    pod = pods.spec_of(container, account=name, cluster=cluster, user=client.USER) | {"restartPolicy": "Never"}
    labels = pod_labels(app, cluster, name=name, version=SERVER_VERSION)
    spec: Json = {
        "backoffLimit": _TRIES,
        "activeDeadlineSeconds": round(_LONGEST),
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return batches.once(app, name, spec, cluster=cluster, key=document.key, component=document.name)
