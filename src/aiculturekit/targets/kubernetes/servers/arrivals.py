"""Init containers that wait until the servers which a pod needs let it in: what is applied all at once begins in the right order. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import pods, secrets
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers.shapes import Kind


def rendered(
    document: Document, *, documents: Sequence[Document], kinds: Mapping[str, Kind], cluster: Cluster
) -> Iterator[dict[str, Any]]:
    """One for each server among the document's needs, by the server's own client and with the document's own password."""
    servers = {one.name: one for one in documents if one.kind == "server"}
    for name in sorted({need["name"] for need in document.body["needs"] if need["kind"] == "resources"}):
        if server := servers.get(name):
            kind = kinds[server.body["type"]]
            yield {
                "name": f"wait-for-{name}",
                "image": kind.image(server, cluster=cluster),
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", kind.ARRIVAL],
                "env": [_given(name, document, *pair) for pair in kind.GIVEN.items()],
                "resources": pods.bounds({}),
                "securityContext": pods.confined(),
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }


def _given(resource: str, document: Document, variable: str, output: str) -> dict[str, Any]:
    key = {"name": secrets.name(resource, secrets.user(document)), "key": output}
    return {"name": variable, "valueFrom": {"secretKeyRef": key}}
