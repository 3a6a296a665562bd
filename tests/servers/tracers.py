"""A real Jaeger as a pod of a cluster for tests: to where a mesh sends its traces, and where they are read from this machine."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
from pathlib import Path

from tests.servers import archives, jaeger
from tests.servers.archives import Image
from tests.servers.clusters import Cluster
from tests.servers.jaeger import Server
from tests.servers.machines import wait

NAMESPACE, NAME, GRPC = "istio-system", "jaeger", 4317
"""Where Istio's own examples have it: every sidecar of ours knows what stands there."""
_IMAGE = "tests.local/jaeger:1"
_OTLP, _QUERY = 4318, 16686


def install(cluster: Cluster) -> Server:
    """Ready; built first where it was not yet."""
    settings = jaeger.configuration(_OTLP, _QUERY, GRPC, 16685, 13133, host="0.0.0.0").encode()
    with tempfile.TemporaryDirectory(prefix="aic-jaeger-") as folder:
        content = {"jaeger": jaeger.built(), "jaeger.yaml": settings, "tmp": 0o1777}
        image = Image(_IMAGE, content, ["/jaeger", "--config", "/jaeger.yaml"])
        cluster.load(archives.write(image, to=Path(folder) / "jaeger.tar"))
    metadata = {"name": NAME, "namespace": NAMESPACE}
    container = {
        "name": NAME,
        "image": _IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {"httpGet": {"path": "/api/services", "port": _QUERY}, "periodSeconds": 1},
    }
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    ports = [
        {"name": "grpc-otlp", "port": GRPC},
        {"name": "http-otlp", "port": _OTLP},
        {"name": "http-query", "port": _QUERY},
    ]
    cluster.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
    )
    cluster.rolled_out(NAME, namespace=NAMESPACE)
    address = cluster.dial_service(NAME, namespace=NAMESPACE, port=_QUERY)
    server = Server(otlp=0, query=int(address.rpartition(":")[2]))
    wait(lambda: _answers(server), what="Jaeger", seconds=60)
    return server


def _answers(server: Server) -> bool:
    """The node hears of a pod that is ready a moment after everybody else."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return bool(server.ask("/api/services"))
    return False
