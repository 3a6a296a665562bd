"""The topology of one application with its live figures. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.mesh.nodes import INGRESS, Edge
from aiculturekit.plan.documents import Document
from aiculturekit.resources.kinds import KINDS
from aiculturekit.targets.nodes import SERVER_VERSION

_SILENT = Edge("", "", "", "")
"""An edge over which nothing was called yet."""


def figures(edges: Sequence[Edge]) -> dict[str, Any]:
    """Rate, error rate and p95 over several edges into one place; None where nothing was called yet."""
    if not edges:
        return {"rate": None, "error_rate": None, "p95_ms": None}
    rate = sum(edge.rate for edge in edges)
    failed = sum(edge.rate * edge.error_rate for edge in edges)
    slowest = [edge.p95_ms for edge in edges if edge.p95_ms is not None]
    return {"rate": rate, "error_rate": failed / rate if rate else 0.0, "p95_ms": max(slowest, default=None)}


def graph(
    documents: Sequence[Document], *, workloads: Sequence[Mapping[str, Any]], edges: Sequence[Edge]
) -> dict[str, Any]:
    """Nodes: the ingress, each workload (each version where there are several), each resource. Edges: every permission that
    the documents grant, with the figures of the calls made over it."""
    split = _split(documents)
    places = _places(documents, split)
    protocols = {d.name: d.body.get("protocol", "http") for d in documents if d.kind == "access"}
    protocols |= {d.name: KINDS[d.body["type"]].protocol for d in documents if d.kind == "server"}
    live = {(edge.source, edge.target, edge.version): edge for edge in edges}
    calls = [
        _edge(
            places[caller][0][0],
            target,
            edge=live.get((caller, called, version)) or live.get((caller, called, "")),
            version=version,
            protocol=protocols.get(called, "http"),
        )
        for caller, called in _calls(documents)
        for target, version in places.get(called, [])
        if caller in places
    ]
    held = [
        _edge(places[document.name.partition("/")[0]][0][0], need["name"], edge=None, version="")
        for document in documents
        if document.kind in ("workload", "job")
        for need in document.body["needs"]
        if need["kind"] == "resources" and need["name"] not in protocols
    ]
    unique = {(edge["source"], edge["target"]): edge for edge in [*calls, *held]}
    return {"nodes": _nodes(documents, workloads, split), "edges": list(unique.values())}


def _split(documents: Sequence[Document]) -> set[str]:
    """Services with more than one version."""
    names = [document.name.partition("/")[0] for document in documents if document.kind == "workload"]
    return {name for name in names if names.count(name) > 1}


def _places(documents: Sequence[Document], split: set[str]) -> dict[str, list[tuple[str, str]]]:
    """Workload -> the (node id, version) of each of its versions. The mesh knows callers by name, not by version: what a
    workload of several versions calls is drawn from its first."""
    found: dict[str, list[tuple[str, str]]] = {INGRESS: [(INGRESS, "")]}
    for document in documents:
        if document.kind in ("workload", "job"):
            name, _, version = document.name.partition("/")
            found.setdefault(name, []).append((document.name if name in split else name, version or "v1"))
        elif document.kind == "server":
            found[document.name] = [(document.name, SERVER_VERSION)]
    return found


def _calls(documents: Sequence[Document]) -> list[tuple[str, str]]:
    services = [(caller, d.name) for d in documents if d.kind == "access" for caller in d.body["callers"]]
    users = {(user.partition(".")[0], d.name) for d in documents if d.kind == "server" for user, _ in d.body["users"]}
    return services + sorted(users)


def _edge(source: str, target: str, *, edge: Edge | None, version: str, protocol: str = "") -> dict[str, Any]:
    numbers = dataclasses.asdict(edge or _SILENT) | {"source": source, "target": target, "version": version}
    del numbers["app"]
    is_meshed = bool(version)
    return numbers | {"meshed": is_meshed, "mtls": is_meshed and numbers["tls"] != "none", "protocol": protocol}


def _nodes(
    documents: Sequence[Document], workloads: Sequence[Mapping[str, Any]], split: set[str]
) -> list[dict[str, Any]]:
    weights = {d.name: d.body["weights"] for d in documents if d.kind == "route"}
    is_public = any(document.kind == "ingress" for document in documents)
    ingress = {
        "id": INGRESS,
        "label": INGRESS,
        "kind": "ingress",
        "state": "ready",
        "version": None,
        "replicas": 1,
        "ready": 1,
    }
    found = [ingress | {"weight": None, "rate": None, "p95_ms": None}] if is_public else []
    for row in workloads:
        many = row["name"] in split
        found.append(
            {
                "id": f"{row['name']}/{row['version']}" if many else row["name"],
                "label": f"{row['name']} {row['version']}" if many else row["name"],
                "weight": weights.get(row["name"], {}).get(row["version"]) if many else None,
                **{key: row[key] for key in ("kind", "state", "version", "replicas", "ready", "rate", "p95_ms")},
            }
        )
    return found
