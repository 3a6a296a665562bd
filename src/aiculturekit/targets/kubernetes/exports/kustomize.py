"""A kustomize base, and an overlay for each environment. Pure. (https://kubectl.docs.kubernetes.io/references/kustomize/)

What all environments have is the base, as the first of them has it; an overlay patches what differs (RFC 6902) and adds what is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.targets.kubernetes.exports import texts
from aiculturekit.targets.kubernetes.exports.differences import MISSING, Path, at, paths
from aiculturekit.targets.kubernetes.exports.texts import file_name, table, text

_API = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def files(environments: Mapping[str, Sequence[Manifest]]) -> dict[str, str]:
    """Path -> text. The first environment is the one that the base is like."""
    tables = {name: table(manifests) for name, manifests in environments.items()}
    first = next(iter(tables.values()))
    common = [place for place in first if all(place in objects for objects in tables.values())]
    found = {f"base/{file_name(place)}": text(first[place]) for place in common}
    found["base/kustomization.yaml"] = text(_API | {"resources": [file_name(place) for place in common]})
    for name, objects in tables.items():
        own = [place for place in objects if place not in common]
        found |= {f"overlays/{name}/{file_name(place)}": text(objects[place]) for place in own}
        patches = [_patch(first[place], objects[place]) for place in common if first[place] != objects[place]]
        overlay: dict[str, Any] = {**_API, "resources": ["../../base", *map(file_name, own)]}
        found[f"overlays/{name}/kustomization.yaml"] = text(overlay | ({"patches": patches} if patches else {}))
    return found


def folder(manifests: Sequence[Manifest]) -> dict[str, str]:
    """One environment alone: its objects, and the list of them."""
    objects = table(manifests)
    listed = {file_name(place): text(one) for place, one in objects.items()}
    return listed | {"kustomization.yaml": text(_API | {"resources": list(listed)})}


def _patch(base: Manifest, wanted: Manifest) -> dict[str, Any]:
    metadata = base["metadata"]
    target = {
        "group": base["apiVersion"].rpartition("/")[0],
        "kind": base["kind"],
        "name": metadata["name"],
        "namespace": metadata.get("namespace"),
    }
    operations = [one for path in paths([base, wanted]) for one in _operations(path, base, wanted)]
    return {"target": {part: value for part, value in target.items() if value}, "patch": texts.text(operations)}


def _operations(path: Path, base: Manifest, wanted: Manifest) -> Iterator[dict[str, Any]]:
    pointer = "".join(f"/{_escaped(step)}" for step in path)
    new = at(wanted, path)
    if new is MISSING:
        yield {"op": "remove", "path": pointer}
    else:
        yield {"op": "add" if at(base, path) is MISSING else "replace", "path": pointer, "value": new}


def _escaped(step: str | int) -> str:
    """RFC 6901."""
    return str(step).replace("~", "~0").replace("/", "~1")
