"""A Helm chart with values for each environment. Pure. (https://helm.sh/docs/chart_template_guide/)

`values.yaml` has every part that the environments differ in, and those that people change in any case (replicas, images, bounds, room),
under the object's own name and the part's own path; `values-ENVIRONMENT.yaml` has what an environment says otherwise.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.targets.kubernetes.exports.differences import MISSING, Path, at, paths, replaced
from aiculturekit.targets.kubernetes.exports.texts import OWN, Key, file_name, table, text
from aiculturekit.targets.kubernetes.objects import ENVIRONMENT

_TUNED: Mapping[str, tuple[Path, ...]] = {
    "Deployment": (
        ("spec", "replicas"),
        ("spec", "template", "spec", "containers", 0, "image"),
        ("spec", "template", "spec", "containers", 0, "resources"),
    ),
    "StatefulSet": (
        ("spec", "template", "spec", "containers", 0, "image"),
        ("spec", "template", "spec", "containers", 0, "resources"),
    ),
    "HorizontalPodAutoscaler": (("spec", "minReplicas"), ("spec", "maxReplicas")),
    "PersistentVolumeClaim": (("spec", "resources", "requests", "storage"), ("spec", "storageClassName")),
}
_HOLE = re.compile("['\"]?\ue000(\\w+)\ue000['\"]?")
_LINE = re.compile("^ *[^ \\n-][^\\n]*: ['\"]?\ue000(\\d+)\ue000['\"]?\\n", re.MULTILINE)
ENABLED = "enabled"


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """A part of an object that is a value: `object` and `name` are its keys below `objects`. One that `is_optional` some environments do
    not have."""

    object: str
    name: str
    path: Path
    is_optional: bool


def files(app: str, environments: Mapping[str, Sequence[Manifest]], *, version: str = "0.1.0") -> dict[str, str]:
    """Path -> text. The first environment is what `values.yaml` is like."""
    tables = {name: table(manifests) for name, manifests in environments.items()}
    names = {place: _name(place) for objects in tables.values() for place in objects}
    found = {"Chart.yaml": text({"apiVersion": "v2", "name": app, "version": version, "type": "application"})}
    values: dict[str, dict[str, Any]] = {name: {} for name in tables}
    for place, own in names.items():
        versions = {name: objects[place] for name, objects in tables.items() if place in objects}
        parts = _parts(own, place[1], list(versions.values()))
        is_optional = len(versions) < len(tables)
        found[f"templates/{file_name(place)}"] = _template(next(iter(versions.values())), parts, own, is_optional)
        for name in tables:
            said = {part.name: value for part in parts for value in _said(versions.get(name), part)}
            said |= {ENABLED: name in versions} if is_optional else {}
            if said:
                values[name][own] = said
    shared = {name: _shared(manifests) for name, manifests in environments.items()}
    first = next(iter(tables))
    found["values.yaml"] = text(shared[first] | {"objects": values[first]})
    for name, said in values.items():
        found[f"values-{name}.yaml"] = text(shared[name] | {"objects": _otherwise(values[first], said)})
    return found


def _shared(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What many objects have in common within an environment."""
    own = next(one for one in manifests if one["kind"] == "Namespace")
    return {"namespace": own["metadata"]["name"], "environment": own["metadata"]["labels"][ENVIRONMENT]}


def _is_shared(manifest: Manifest, path: Path) -> str:
    """The name of the shared value that stands there; empty for what is the object's own."""
    if path[-1:] == (ENVIRONMENT,):
        return "environment"
    is_namespace = path == ("metadata", "namespace") or (
        manifest["kind"] == "Namespace" and path == ("metadata", "name")
    )
    return "namespace" if is_namespace else ""


def _name(place: Key) -> str:
    """As people say it; two kinds of one name are told apart by their group."""
    _, kind, namespace, name = place
    kind = f"{kind}.{place[0]}" if kind == "Gateway" else kind
    return kind if name == OWN else f"{kind}/{name}" if namespace in ("", OWN) else f"{kind}/{namespace}/{name}"


def _parts(own: str, kind: str, versions: list[Manifest]) -> list[_Part]:
    """Those that differ, and those that are always tuned and no other one lies in or around."""
    differing = [path for path in paths(versions) if not _is_shared(versions[0], path)]
    tuned = [path for path in _TUNED.get(kind, ()) if all(at(one, path) is not MISSING for one in versions)]
    alone = [path for path in tuned if not any(_overlap(path, other) for other in differing)]
    return [
        _Part(own, ".".join(map(str, path)), path, any(at(one, path) is MISSING for one in versions))
        for path in (*differing, *alone)
    ]


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _said(version: Manifest | None, part: _Part) -> Iterator[Any]:
    """Nothing where the object is not there, or does not have that part."""
    value = MISSING if version is None else at(version, part.path)
    if value is not MISSING:
        yield value


def _template(manifest: Manifest, parts: list[_Part], own: str, is_optional: bool) -> str:
    holed: Any = manifest
    for number, part in enumerate(parts):
        holed = replaced(holed, part.path, f"\ue000{number}\ue000")
    for path in _places(manifest):
        holed = replaced(holed, path, f"\ue000{_is_shared(manifest, path)}\ue000")
    escaped = re.sub(r"\{\{|\}\}", lambda found: "{{ " + f'"{found[0]}"' + " }}", text(holed))
    escaped = _LINE.sub(lambda found: _only_where(found[0], parts[int(found[1])]), escaped)
    filled = _HOLE.sub(lambda found: _filled(found[1], parts), escaped)
    if not is_optional:
        return filled
    return f'{{{{- if (index .Values.objects "{own}" "{ENABLED}") }}}}\n{filled}{{{{- end }}}}\n'


def _only_where(line: str, part: _Part) -> str:
    """The line of a part that is not everywhere."""
    if not part.is_optional:
        return line
    return f'{{{{- if hasKey (index .Values.objects "{part.object}") "{part.name}" }}}}\n{line}{{{{- end }}}}\n'


def _places(manifest: Manifest) -> Iterator[Path]:
    """Where shared values stand."""
    left: list[tuple[Path, Any]] = [((), manifest)]
    while left:
        path, value = left.pop()
        if path and _is_shared(manifest, path):
            yield path
        elif isinstance(value, Mapping):
            left += [((*path, key), one) for key, one in value.items()]


def _filled(hole: str, parts: list[_Part]) -> str:
    return _reference(parts[int(hole)]) if hole.isdigit() else f"{{{{ .Values.{hole} | toJson }}}}"


def _reference(part: _Part) -> str:
    return f'{{{{ index .Values.objects "{part.object}" "{part.name}" | toJson }}}}'


def _otherwise(first: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the first, which Helm lays over it; null takes a value away."""
    found = {}
    for own in dict.fromkeys([*first, *said]):
        usual, parts = first.get(own, {}), said.get(own, {})
        changed = {name: value for name, value in parts.items() if name not in usual or usual[name] != value}
        if changed := changed | {name: None for name in usual if name not in parts}:
            found[own] = changed
    return found
