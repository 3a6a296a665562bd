"""What is the mesh's own configuration (MeshConfig) and no object of a namespace: written as the part of an installation that
`istioctl install -f` lays over the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh.istio import checks, federation
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place

KIND = "IstioOperator"


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    """Nothing where an application asks nothing of the mesh as a whole. A list of it takes the place of the one that is there: with several
    applications theirs have to be put together."""
    if config := _mesh(node, place):
        metadata = {"name": f"aic-{place.namespace}", "namespace": "istio-system"}
        spec: dict[str, Any] = {"meshConfig": config}
        if (
            "caCertificates" in config
        ):  # istiod hands on several roots only where it is told to, and its agents take them only then
            spec["values"] = {"pilot": {"env": {"ISTIO_MULTIROOT_MESH": "true"}}}
        yield {"apiVersion": "install.istio.io/v1alpha1", "kind": KIND, "metadata": metadata, "spec": spec}


def _mesh(node: Node, place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if providers := list(checks.providers(node, place)):
        found["extensionProviders"] = providers
    if roots := federation.roots(node):
        found["caCertificates"] = roots
        found["defaultConfig"] = {"proxyMetadata": {"PROXY_CONFIG_XDS_AGENT": "true"}}
    return found
