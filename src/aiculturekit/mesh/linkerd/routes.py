"""How callers reach a service: HTTPRoutes whose parent is the Service. Pure.

One for each set of annotations, since those hold for a whole route.
"""

from __future__ import annotations

from typing import Any

from aiculturekit.mesh import manifests
from aiculturekit.mesh.branches import Branch, branches
from aiculturekit.mesh.gateway_api import filters, matches
from aiculturekit.mesh.gateway_api.routes import API, backends, parent, public
from aiculturekit.mesh.linkerd import notes
from aiculturekit.mesh.nodes import Entry, Service
from aiculturekit.mesh.rendering import Manifest, Place

ALPHA = "gateway.networking.k8s.io/v1alpha2"
"""The version in which Linkerd reads TCPRoutes and TLSRoutes."""


def groups(service: Service) -> list[list[Branch]]:
    """The branches that may share a route, in order; the last has the branch that takes whatever is left."""
    found: dict[tuple[tuple[str, str], ...], list[Branch]] = {}
    for branch in branches(service):
        found.setdefault(tuple(notes.of_branch(branch).items()), []).append(branch)
    return sorted(found.values(), key=lambda group: group[-1].name == "rest")


def of_service(service: Service, *, place: Place) -> list[Manifest]:
    if service.protocol == "tcp":
        return [_tcp(service, place)] if len(service.versions) > 1 else []
    return [_http(service, group, place) for group in groups(service)]


def _http(service: Service, group: list[Branch], place: Place) -> Manifest:
    is_rest = group[-1].name == "rest"
    return manifests.made(
        API,
        "HTTPRoute",
        name=service.name if is_rest else f"{service.name}-{group[0].name}",
        app=service.app,
        place=place,
        annotations=notes.of_branch(group[0]),
        spec={
            "parentRefs": [parent(service, place=place)],
            "rules": [_rule(service, branch, place) for branch in group],
        },
    )


def _rule(service: Service, branch: Branch, place: Place) -> dict[str, Any]:
    rule: dict[str, Any] = {"matches": [matches.compiled(branch.match)]}
    changes = filters.edits(branch.headers)
    if branch.redirect:
        changes.append(filters.redirect(branch.redirect))
    if changes:
        rule["filters"] = changes
    if not branch.redirect:
        rule["backendRefs"] = backends(service, branch.shares, place=place)
    return rule


def _tcp(service: Service, place: Place) -> Manifest:
    shares = tuple((version.name, version.weight) for version in service.versions if version.weight > 0)
    rule = {"backendRefs": backends(service, shares, place=place)}
    spec = {"parentRefs": [parent(service, place=place)], "rules": [rule]}
    return manifests.made(ALPHA, "TCPRoute", name=service.name, app=service.app, place=place, spec=spec)


def of_entry(service: Service, entry: Entry, *, place: Place) -> Manifest:
    """The gateway only finds the Service; everything else is said by the routes above, which hold for its pods too once they are in the
    mesh and address Services (not their endpoints)."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": entry.prefix}}],
        "backendRefs": [{"name": service.name, "port": place.port_of(service.name)}],
    }
    return public(service, entry, place=place, rules=[rule])
