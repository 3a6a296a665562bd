"""Telemetry: the share of the requests whose trace is kept, where traces are wanted at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.istio import names
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    """To whom traces go is the mesh's own configuration (an extensionProvider of MeshConfig)."""
    if node.tracing is not None:
        sampling = {"randomSamplingPercentage": node.tracing.percent}
        yield names.observed("Telemetry", "default", place, tracing=[sampling])
