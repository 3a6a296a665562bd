"""Objects as the text of files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from aiculturekit.mesh.rendering import Manifest

MARK = "# Made by `aic render`; what is changed here is lost the next time.\n"
Key = tuple[str, str, str, str]


class _Plain(yaml.SafeDumper):
    """Without anchors, which people rarely read and some tools not at all; scripts as the lines that they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _string)


def text(value: Any) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


OWN = "."
"""The application's own namespace, whatever its name is in an environment."""


def table(manifests: Sequence[Manifest]) -> dict[Key, Manifest]:
    """The objects by what no two of them share: API group, kind, namespace, name."""
    own = next((one["metadata"]["name"] for one in manifests if one["kind"] == "Namespace"), None)
    return {_key(one, own): one for one in manifests}


def _key(manifest: Manifest, own: str | None) -> Key:
    metadata, group = manifest["metadata"], manifest["apiVersion"].rpartition("/")[0]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if manifest["kind"] == "Namespace":
        return group, "Namespace", "", OWN if name == own else name
    return group, manifest["kind"], OWN if namespace == own else namespace, name


def file_name(place: Key) -> str:
    """Two kinds of one name (Istio's Gateway and Kubernetes') are told apart by the first part of their group."""
    group, kind, _, name = place
    prefix = f"{group.split('.')[1]}-" if group.count(".") > 1 and kind == "Gateway" else ""
    return f"{kind.lower()}-{prefix}{name}.yaml" if name != OWN else f"{kind.lower()}.yaml"
