"""What a renderer of mesh rules for a cluster is: values in, Kubernetes documents out. Pure.

A renderer is a package of `mesh/` with two functions: `render(node, place=...)`, the documents, and `gaps(node)`, what it cannot say.
Nothing is dropped silently: whoever renders asks for the gaps first and refuses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiculturekit.mesh.nodes import Node

ISTIO_GATEWAY: Mapping[str, str] = {"istio": "ingressgateway"}
"""What Istio's own ingress gateway is labelled with, however it was installed."""
Manifest = dict[str, Any]
"""One Kubernetes object."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where the documents go: every service is a Kubernetes Service `name.namespace` on `port` (or on its own of `ports`), every version
    its pods with the labels `app` and `version`, every workload a ServiceAccount of its own name. `hosts` are the public host names at
    the ingress, which calls as the service account `ingress` (NAMESPACE/NAME; empty where it has no identity in the mesh).
    `gateway_class` is who serves a Gateway there (the name of a GatewayClass); `gateway_labels` are those of the pods of Istio's
    ingress gateway."""

    namespace: str
    port: int = 80
    hosts: tuple[str, ...] = ("*",)
    trust_domain: str = "cluster.local"
    ingress: str = "istio-system/istio-ingressgateway-service-account"
    gateway_class: str = "istio"
    ports: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    gateway_labels: Mapping[str, str] = dataclasses.field(default_factory=lambda: ISTIO_GATEWAY, hash=False)

    def port_of(self, service: str) -> int:
        return self.ports.get(service, self.port)


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """A rule that a mesh cannot express: `key` is its path within the service's part of the application file (`traffic.mirror`,
    `versions.v2.match`, `access.jwt`)."""

    app: str
    service: str
    key: str
    reason: str


class Render(Protocol):
    """Pure; the same node and place give the same documents, in an order in which they can be applied."""

    def __call__(self, node: Node, *, place: Place) -> Sequence[Manifest]: ...


class Gaps(Protocol):
    """Pure; nothing for a node that `render` says all of."""

    def __call__(self, node: Node) -> Sequence[Gap]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Renderer:
    """Both halves of a renderer, as the registry hands them out. `unsaid` are the features (`features.FEATURES`) that the mesh behaves
    like without a word; any other one that changes no document is a gap, whatever `gaps` says."""

    render: Render
    gaps: Gaps
    unsaid: frozenset[str] = frozenset()
