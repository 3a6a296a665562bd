"""Resources that are files (`sqlite`, `volume`): a claim for each, mounted where who needs it finds it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.plan.resources import FILES
from aiculturekit.targets.kubernetes.objects import PROTECTED, Key, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

ROOM = "10Gi"
"""What is asked for where the file does not say `size`."""


def claim_name(resource: str) -> str:
    return f"{resource}-data"


def claim(app: str, name: str, body: Any, *, cluster: Cluster, key: Key) -> Owned:
    """The room for a resource's data: it stays when the server goes."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(body.get("size") or ROOM)}},
    }
    if cluster.storage:
        spec["storageClassName"] = cluster.storage
    labels = {PROTECTED: "true"} if body.get("protected") else {}
    return Owned(
        key,
        made(
            "v1",
            "PersistentVolumeClaim",
            claim_name(name),
            app=app,
            cluster=cluster,
            component=name,
            labels=labels,
            spec=spec,
        ),
    )


def url(resource: Document) -> str:
    folder = f"/data/{resource.name}"
    return f"sqlite:///{folder}/{resource.name}.db" if resource.body["type"] == "sqlite" else f"file://{folder}"


def mounts(document: Document, documents: Sequence[Document]) -> list[dict[str, Any]]:
    return [{"name": claim_name(name), "mountPath": f"/data/{name}"} for name in needed(document, documents)]


def volumes(document: Document, documents: Sequence[Document]) -> list[dict[str, Any]]:
    return [
        {"name": claim_name(name), "persistentVolumeClaim": {"claimName": claim_name(name)}}
        for name in needed(document, documents)
    ]


def needed(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """The files that a workload works with."""
    known = {
        one.name
        for one in documents
        if one.kind == "resource" and one.body["type"] in FILES and not one.body.get("url")
    }
    for need in document.body["needs"]:
        if need["kind"] == "resources" and need["name"] in known:
            yield need["name"]
