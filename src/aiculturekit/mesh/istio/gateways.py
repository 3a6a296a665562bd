"""Gateway: the door of the public paths. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.istio import names
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place

NAME = "public"
PORT = 80


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    if not node.entries:
        return
    server = {"port": {"number": PORT, "name": "http", "protocol": "HTTP"}, "hosts": list(place.hosts)}
    yield names.networking("Gateway", NAME, place, selector=dict(place.gateway_labels), servers=[server])
