"""In which order files change, so that no request ever meets a name that is not there yet, or not there any more.
Pure.

What is referred to comes before what refers to it, and goes after it: clusters, kinds of token, routes, listeners; then those
clusters, kinds of token and routes that nothing refers to any more are dropped. A cluster that is to lead into the tunnel changes with
these, since what is to happen there stands in a route.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from aiculturekit.mesh.envoy import documents, names, tokens, tunnels
from aiculturekit.mesh.envoy.documents import Json

Stage = Mapping[str, Json]
"""File name -> its new document."""

_TABLES = [names.routes_file(names.MESH_ROUTES), names.routes_file(names.INBOUND_ROUTES)]


def stages(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Stage]:
    """From `old` to `new`; each stage is in force before the next is begun."""
    found: list[Stage] = []
    stands = dict(old)
    for wanted in _passing(old, new):
        if changed := {name: document for name, document in wanted.items() if stands.get(name) != document}:
            found.append(changed)
            stands |= changed
    return found


def _passing(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Stage]:
    tables = {name: document for name, document in new.items() if name.startswith("rds/")}
    yield {names.CLUSTERS: _with_leaving(old.get(names.CLUSTERS), tunnels.entered_late(old, new)[names.CLUSTERS])}
    kinds = {name: document for name, document in new.items() if name == names.TOKENS_FILE}
    yield {name: tokens.with_leaving(old.get(name), document) for name, document in kinds.items()}
    yield tables | {n: _with_leaving_doors(old.get(n), document) for n, document in tables.items() if n in _TABLES}
    yield {names.LISTENERS: new[names.LISTENERS]}
    yield tables
    yield kinds
    yield {names.CLUSTERS: new[names.CLUSTERS]}


def _with_leaving(old: Json | None, new: Json) -> Json:
    """All new clusters, and those old ones that routes and listeners in force may still refer to."""
    leaving = _missing((old or {}).get("resources", []), new["resources"])
    return documents.bundle([*new["resources"], *leaving]) if leaving else new


def _with_leaving_doors(old: Json | None, new: Json) -> Json:
    """All new doors, and those old ones behind which a listener still stands."""
    [table] = new["resources"]
    leaving = _missing(old["resources"][0]["virtual_hosts"] if old else [], table["virtual_hosts"])
    return documents.bundle([table | {"virtual_hosts": [*table["virtual_hosts"], *leaving]}]) if leaving else new


def _missing(old: list[Json], new: list[Json]) -> list[Json]:
    known = {item["name"] for item in new}
    return [item for item in old if item["name"] not in known]


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
    if subscription == f"extension_config_discovery.http_filter.{names.TOKENS}":
        return names.TOKENS_FILE
    _, is_route, table = subscription.partition(".rds.")
    return names.routes_file(table) if is_route else None


def parsed(content: bytes | None) -> Json | None:
    """A document as it was written; None for none, or for one that is no JSON."""
    try:
        document = json.loads(content) if content else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and "version_info" in document else None
