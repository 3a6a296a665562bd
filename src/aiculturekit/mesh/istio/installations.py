"""What is the mesh's own configuration (MeshConfig) and no object of a namespace: written as the part of an installation that
`istioctl install -f` lays over the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh.istio import checks
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place

KIND = "IstioOperator"


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    """Nothing where an application asks nothing of the mesh as a whole. A list of it takes the place of the one that is there: with several
    applications theirs have to be put together."""
    if config := _mesh(node, place):
        metadata = {"name": f"aic-{place.namespace}", "namespace": "istio-system"}
        spec = {"meshConfig": config}
        yield {"apiVersion": "install.istio.io/v1alpha1", "kind": KIND, "metadata": metadata, "spec": spec}


def _mesh(node: Node, place: Place) -> dict[str, Any]:
    providers = list(checks.providers(node, place))
    return {"extensionProviders": providers} if providers else {}
