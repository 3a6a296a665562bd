"""All objects of a node, in an order in which they can be applied. Pure."""

from __future__ import annotations

from aiculturekit.mesh import manifests
from aiculturekit.mesh.gateway_api.objects import gateways
from aiculturekit.mesh.linkerd import egress, notes, permissions, routes
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place


def render(node: Node, *, place: Place) -> tuple[Manifest, ...]:
    """The node's documents. Ask `gaps` first: what it names is not in them."""
    known = {(service.app, service.name): service for service in node.services}
    return (
        *(
            one
            for service in node.services
            for one in manifests.services(service, place=place, annotations=notes.of_service(service, place=place))
        ),
        *gateways(node, place),
        *(one for service in node.services for one in routes.of_service(service, place=place)),
        *(
            routes.of_entry(known[entry.app, entry.service], entry, place=place)
            for entry in node.entries
            if (entry.app, entry.service) in known
        ),
        *(one for service in node.services for one in permissions.of_service(service, place=place)),
        *egress.of_node(node, place=place),
    )
