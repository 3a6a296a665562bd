"""Objects of a cluster as files hold them: documents, Lists, what `kubectl get -o yaml` prints. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.spec.importers.drafts import loss
from aiculturekit.spec.importers.readings import Map, documents

MAX_OBJECTS = 5000


@dataclasses.dataclass(frozen=True)
class Object:
    """`name` and `namespace` as its metadata say, "" where they do not."""

    kind: str
    name: str
    namespace: str
    value: Map

    @property
    def spec(self) -> Map:
        return self.value.map("spec")

    @property
    def labels(self) -> Map:
        return self.value.map("metadata").map("labels")

    @property
    def is_ours(self) -> bool:
        """Written by `aic render kubernetes`, or applied by a deploy."""
        return self.labels.get("app.kubernetes.io/managed-by") == "aic"

    @property
    def work(self) -> Map:
        """The spec that holds the template: a CronJob's is its job's."""
        return self.spec.map("jobTemplate").map("spec") if self.kind == "CronJob" else self.spec

    @property
    def pod(self) -> Map:
        """The template of its pods."""
        return self.work.map("template")

    @property
    def path(self) -> str:
        return f"{self.kind}/{self.name}"


def objects(files: Mapping[str, bytes], losses: list[Problem]) -> list[Object]:
    """In the files' order. Raises SpecError with one Problem for a file that is no YAML. What is no object is said in `losses`."""
    found: list[Object] = []
    for file, raw in files.items():
        for value in documents(raw, file=file):
            found += _flat(value, file, losses)
    return found[:MAX_OBJECTS]


def _flat(value: Any, file: str, losses: list[Problem]) -> Iterator[Object]:
    if isinstance(value, Map) and str(value.get("kind", "")).endswith("List") and "items" in value:
        for inner in value.items_of("items"):
            yield from _flat(inner, file, losses)
    elif isinstance(value, Map) and value.get("kind") and value.map("metadata").get("name"):
        about = value.map("metadata")
        if not about.get("ownerReferences"):  # what another object made comes with that one
            yield Object(str(value["kind"]), str(about["name"]), str(about.get("namespace") or ""), value)
    elif value is not None:
        at = value.line if isinstance(value, Map) else (file, 1)
        losses.append(
            loss("document", say("this is no object of a cluster"), say("it needs kind: and metadata.name:"), at=at)
        )


def of_kind(listed: Sequence[Object], *kinds: str) -> list[Object]:
    return [one for one in listed if one.kind in kinds]


def has_labels(pod: Map, wanted: Mapping[str, Any]) -> bool:
    """Whether a template's labels are what a selector asks for; an empty selector asks for nobody in particular."""
    labels = pod.map("metadata").map("labels")
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
