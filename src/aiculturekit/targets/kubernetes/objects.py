"""What every object of an application has: its name, its labels, its owner among the documents. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.targets.kubernetes.places import Cluster

MANAGER = "aic"
ENVIRONMENT = "aiculturekit.dev/environment"
PROTECTED = "aiculturekit.dev/protected"
"""The label of what no plan may delete."""
PORT = 8080
"""The port that every workload listens on: no program needs a privilege for it."""
USER = 65532
"""The number that a workload's user has: nobody's on any node (https://github.com/GoogleContainerTools/distroless)."""

Key = tuple[str, str]
APPLICATION: Key = ("application", "")
"""The key of what no single document is there for."""
RULES: Key = ("mesh", "")


@dataclasses.dataclass(frozen=True, slots=True)
class Fill:
    """How a Secret's data comes about where it is applied: the text of each of its keys, in which ${password} stands for one that is made
    when there is none yet, and kept else. Where the texts themselves are secret, nothing of them is written to a file, a plan or a
    journal. One that `is_given` has references in place of texts: what they stand for is known to whoever deploys."""

    templates: Mapping[str, str] = dataclasses.field(repr=False, hash=False)
    is_secret: bool = False
    is_given: bool = False

    @property
    def needs_password(self) -> bool:
        return any("${password}" in text for text in self.templates.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Owned:
    """One object, and the key of the document that it is there for. A Secret has no data but says how it is filled. One that `is_once`
    stays as it is where it is there already. Those of one document are applied in their order, and a Job is waited for before what
    comes behind it."""

    key: Key
    manifest: Manifest = dataclasses.field(hash=False)
    fill: Fill | None = None
    is_once: bool = False

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What no two objects share: API group, kind, namespace, name."""
        metadata, group = self.manifest["metadata"], self.manifest["apiVersion"].rpartition("/")[0]
        return group, self.manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def made(api: str, kind: str, name: str, *, app: str, cluster: Cluster, component: str = "", **parts: Any) -> Manifest:
    """`parts` are the top-level keys besides the four that all have; `annotations` and `labels` go to the metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": cluster.namespace,
        "labels": labels(app, cluster)
        | ({"app.kubernetes.io/name": component} if component else {})
        | parts.pop("labels", {}),
    }
    if annotations := parts.pop("annotations", None):
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **parts}


def labels(app: str, cluster: Cluster) -> dict[str, str]:
    """By which what is ours is found again."""
    return {
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": app,
        ENVIRONMENT: cluster.environment,
    }


def labelled(manifest: Manifest, *, app: str, cluster: Cluster) -> Manifest:
    """A manifest of a mesh's renderer with the labels of all others."""
    metadata = manifest["metadata"]
    return manifest | {"metadata": metadata | {"labels": metadata.get("labels", {}) | labels(app, cluster)}}


def pod_labels(app: str, cluster: Cluster, *, name: str, version: str) -> dict[str, str]:
    return labels(app, cluster) | {"app": name, "version": version}
