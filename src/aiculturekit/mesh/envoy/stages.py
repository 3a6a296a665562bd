"""In which order files change, so that no request ever meets a name that is not there yet, or not there any more. Pure.

What is referred to comes before what refers to it, and goes after it: endpoints, clusters, routes, listeners; then the
clusters that nothing refers to any more are dropped, and the files that nobody reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json

Stage = Mapping[str, Json | None]
"""File name -> its new document, or None for a file that goes."""


def stages(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Stage]:
    """From `old` to `new`; each stage is in force before the next is begun."""
    return [stage for stage in _all(old, new) if stage]


def _all(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Stage]:
    both = _union(old.get(names.CLUSTERS), new[names.CLUSTERS])
    yield _changed(old, new, "eds/")
    yield {names.CLUSTERS: both} if both != old.get(names.CLUSTERS) else {}
    yield _changed(old, new, "rds/")
    yield _changed(old, new, names.LISTENERS)
    yield {names.CLUSTERS: new[names.CLUSTERS]} if both != new[names.CLUSTERS] else {}
    yield dict.fromkeys(sorted(old.keys() - new.keys()))


def _changed(old: Mapping[str, Json], new: Mapping[str, Json], prefix: str) -> Stage:
    return {name: new[name] for name in sorted(new) if name.startswith(prefix) and old.get(name) != new[name]}


def _union(old: Json | None, new: Json) -> Json:
    """All new clusters, and those old ones that the routes and listeners in force may still refer to."""
    known = {cluster["name"] for cluster in new["resources"]}
    leaving = [cluster for cluster in (old or {}).get("resources", []) if cluster["name"] not in known]
    return documents.bundle([*new["resources"], *leaving]) if leaving else new


def lagging(figures: Mapping[str, object], on_disk: Mapping[str, Json]) -> list[str]:
    """The files whose version is not what Envoy's figures (`….version_text`) say is in force. A file that Envoy does
    not read yet is none of them: it is read when what refers to it comes."""
    found: set[str] = set()
    for name, value in figures.items():
        file = _file(name.removesuffix(".version_text")) if name.endswith(".version_text") else None
        if file and file in on_disk and on_disk[file]["version_info"] != value:
            found.add(file)
    return sorted(found)


def _file(subscription: str) -> str | None:
    """The file behind a subscription, as Envoy's figures call it."""
    if subscription == "listener_manager.lds":
        return names.LISTENERS
    if subscription == "cluster_manager.cds":
        return names.CLUSTERS
    if ".rds." in subscription:
        return names.routes_file(subscription.partition(".rds.")[2])
    kind, _, name = subscription.partition(".")
    return names.endpoints_file(names.endpoints_of(name)) if kind == "cluster" and "/" in name else None


def parsed(content: bytes | None) -> Json | None:
    """A document as it was written; None for none, or for one that is no JSON."""
    try:
        document = json.loads(content) if content else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and "version_info" in document else None
