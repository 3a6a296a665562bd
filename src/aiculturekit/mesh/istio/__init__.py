"""A Node and a place go in, Istio's resources come out.

Promise: pure; the same input gives the same documents, and an istiod that reads them makes its Envoys mean what ours mean: a suite asks
both the same questions (`tests/conformance`). What Istio's own resources cannot say is an EnvoyFilter; what that cannot say either is a
gap. May not: read, write, start or ask anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.istio import (
    checks,
    destinations,
    federation,
    filters,
    gateways,
    installations,
    limits,
    outside,
    peers,
    permissions,
    routes,
    sidecars,
    telemetry,
    tokens,
)
from aiculturekit.mesh.istio import gaps as found
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Gap, Manifest, Place, Renderer


def render(node: Node, *, place: Place) -> list[Manifest]:
    """Istio's resources for the services, callers and public paths of one application."""
    return [
        *installations.rendered(node, place),
        *peers.rendered(place),
        *gateways.rendered(node, place),
        *routes.rendered(node, place),
        *destinations.rendered(node, place),
        *permissions.rendered(node, place),
        *tokens.rendered(node, place),
        *checks.rendered(node, place),
        *outside.rendered(node, place),
        *federation.rendered(node, place),
        *sidecars.rendered(node, place),
        *filters.rendered(node, place),
        *limits.rendered(node, place),
        *telemetry.rendered(node, place),
    ]


def gaps(node: Node) -> list[Gap]:
    """What would not be the same on Istio."""
    return list(_gaps(node))


def _gaps(node: Node) -> Iterator[Gap]:
    for service in node.services:
        yield from found.of(service)
        yield from tokens.gaps(service)
        yield from checks.gaps(service)
    yield from outside.gaps(node)
    yield from federation.gaps(node)


RENDERER = Renderer(render=render, gaps=gaps, unsaid=frozenset({"protocol http2"}))
"""Istio finds out by itself which HTTP a service speaks."""
