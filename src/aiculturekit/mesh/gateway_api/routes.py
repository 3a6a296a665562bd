"""A service's branches as rules of routes. Pure.

HTTPRoutes carry gRPC too: only they know the paths and queries that the vocabulary speaks of.
"""

from __future__ import annotations

from typing import Any

from aiculturekit.mesh import manifests
from aiculturekit.mesh.branches import Branch, branches
from aiculturekit.mesh.gateway_api import filters, matches
from aiculturekit.mesh.nodes import Entry, Service
from aiculturekit.mesh.rendering import Manifest, Place

API = "gateway.networking.k8s.io/v1"
RULES = 16
"""Rules of one route, at most."""


def of_service(service: Service, *, place: Place) -> Manifest:
    """How the service's callers within the mesh reach it (GAMMA: the route's parent is the Service)."""
    spec = {"parentRefs": [parent(service, place=place)]}
    if service.protocol == "tcp":
        rule = {"backendRefs": backends(service, _weights(service), place=place)}
        return _made("TCPRoute", service.name, service, place, spec | {"rules": [rule]})
    rules = [_rule(service, branch, place) for branch in branches(service)]
    return _made("HTTPRoute", service.name, service, place, spec | {"rules": rules})


def of_entry(service: Service, entry: Entry, *, place: Place) -> Manifest:
    """How requests from outside reach it. The gateway asks a version's Service itself, past the mesh's route: it has all the rules too."""
    rules = [_rule(service, branch, place) for branch in branches(service, within=entry.prefix)]
    return public(service, entry, place=place, rules=rules)


def public(service: Service, entry: Entry, *, place: Place, rules: list[dict[str, Any]]) -> Manifest:
    spec: dict[str, Any] = {"parentRefs": [{"name": entry.app}]}
    if "*" not in place.hosts:
        spec["hostnames"] = list(place.hosts)
    name = "-".join(["public", *entry.prefix.strip("/").lower().split("/")]).strip("-")
    readable = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in name).strip("-")
    return _made("HTTPRoute", f"{service.name}-{readable}", service, place, spec | {"rules": rules})


def _made(kind: str, name: str, service: Service, place: Place, spec: dict[str, Any]) -> Manifest:
    return manifests.made(API, kind, name=name, app=service.app, place=place, spec=spec)


def parent(service: Service, *, place: Place) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": service.name, "port": place.port_of(service.name)}


def _rule(service: Service, branch: Branch, place: Place) -> dict[str, Any]:
    rule: dict[str, Any] = {"matches": [matches.compiled(branch.match)]}
    if changes := filters.of(service, branch, place=place):
        rule["filters"] = changes
    if not branch.redirect:
        rule["timeouts"] = {"request": manifests.duration(branch.timeout)}
        rule["backendRefs"] = backends(service, branch.shares, place=place)
    return rule


def backends(service: Service, shares: tuple[tuple[str, float], ...], *, place: Place) -> list[dict[str, Any]]:
    """Weights are percents, or hundredths of them where one is no whole number. Where no version takes requests, all have none: the
    answer is then an error of the implementation's."""
    weights = dict(shares) or {version.name: 0.0 for version in service.versions}
    factor = 1 if all(weight == int(weight) for weight in weights.values()) else 100
    return [
        {
            "name": manifests.backend(service, version),
            "port": place.port_of(service.name),
            "weight": round(weight * factor),
        }
        for version, weight in weights.items()
    ]


def _weights(service: Service) -> tuple[tuple[str, float], ...]:
    return tuple((version.name, version.weight) for version in service.versions if version.weight > 0)
