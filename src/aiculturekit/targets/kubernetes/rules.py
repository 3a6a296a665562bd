"""The mesh's rules of an application in a cluster: the node that its documents are, rendered by the mesh that the cluster has. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.locator import Locator
from aiculturekit.mesh import manifests, plain
from aiculturekit.mesh.nodes import Caller, Node, Service, Tracing
from aiculturekit.mesh.rendering import Manifest, Place, Renderer
from aiculturekit.plan.documents import Document
from aiculturekit.registry import RENDERERS
from aiculturekit.targets import nodes
from aiculturekit.targets.kubernetes import servers
from aiculturekit.targets.kubernetes.objects import PORT, RULES, Owned, labelled, made
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import operators, settling

GATEWAY = {"aiculturekit.dev/gateway": "public"}
_CLASSES: Mapping[str, str] = {"istio": "istio", "linkerd": "envoy-gateway", "gateway-api": "istio"}
"""Who serves a Gateway where nothing is said."""


def renderer(cluster: Cluster) -> Renderer:
    """Without a mesh, what the cluster itself can say."""
    found: Renderer = plain.RENDERER if cluster.mesh == "none" else RENDERERS.load(Locator.parse(f"{cluster.mesh}:"))
    return found


def node(app: str, documents: Sequence[Document], *, traces: float = 0.0) -> Node:
    """As on this machine, but for its ports, and with the Jobs that settle servers among the callers. `traces` is a percentage; where they
    go is the mesh's own affair."""
    listed = {app: list(documents)}
    ports = {name: at + 1 for at, name in enumerate(nodes.port_names(listed))}
    tracing = Tracing("", 0, percent=traces) if traces else None
    found = nodes.node(listed, ports=ports, ingress_port=0, tracing=tracing)
    played = [one.name for one in documents if one.kind == "server" and servers.is_settled(one)]
    settlers = tuple(Caller(app, settling.account(name), 0, {name: 0}) for name in played)
    services = tuple(_settled(service) if service.name in played else service for service in found.services)
    return dataclasses.replace(found, services=services, callers=(*found.callers, *settlers))


def place(app: str, documents: Sequence[Document], *, cluster: Cluster) -> Place:
    own = f"{cluster.namespace}/{app}-{gateway_class(cluster)}" if cluster.mesh == "istio" else ""
    has_own = own and not cluster.ingress
    return Place(
        cluster.namespace,
        port=PORT,
        hosts=cluster.hosts,
        trust_domain=cluster.trust_domain,
        ingress=cluster.ingress or own,
        gateway_class=gateway_class(cluster),
        ports=servers.ports(list(documents)),
        **({"gateway_labels": {**GATEWAY, "app.kubernetes.io/part-of": app}} if has_own else {}),
    )


def gateway_class(cluster: Cluster) -> str:
    """Istio's rules select the pods of its own gateways: another controller's have none."""
    offered = "" if cluster.mesh == "istio" else cluster.flavor.gateway_class
    return cluster.gateway_class or offered or _CLASSES.get(cluster.mesh, "")


def rendered(app: str, given: Node, *, at: Place, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    if cluster.mesh == "istio":
        yield from _own_gateway(app, given, at, cluster)
    found = list(renderer(cluster).render(given, place=at))
    if cluster.mesh == "istio":
        found = [*_services(given, at), *found]
    operated = {
        one.name for one in documents if one.kind == "server" and one.body["type"] == "postgres" and cluster.operator
    }
    for manifest in found:
        if manifest["kind"] == "IstioOperator":  # a part of the mesh's own installation, no object
            continue
        is_led = manifest["kind"] == "Service" and manifest["metadata"]["name"] in operated
        own = operators.led(manifest) if is_led else manifest
        yield Owned(RULES, _flavored(labelled(own, app=app, cluster=cluster), cluster))


def _settled(service: Service) -> Service:
    return dataclasses.replace(service, callers=tuple(sorted({*service.callers, settling.account(service.name)})))


def _services(given: Node, at: Place) -> Iterator[Manifest]:
    """Istio's rules name Services, and need none of their own for a version."""
    for service in given.services:
        yield manifests.services(service, place=at)[0]


def _own_gateway(app: str, given: Node, at: Place, cluster: Cluster) -> Iterator[Owned]:
    """Istio's controller makes pods for a Gateway; with these labels they are the ones that the rules for public paths select."""
    if not given.entries or cluster.ingress:
        return
    spec: dict[str, Any] = {
        "gatewayClassName": at.gateway_class,
        "infrastructure": {"labels": dict(at.gateway_labels)},
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    }
    manifest = made("gateway.networking.k8s.io/v1", "Gateway", app, app=app, cluster=cluster, spec=spec)
    yield Owned(RULES, _flavored(manifest, cluster))


def _flavored(manifest: Manifest, cluster: Cluster) -> Manifest:
    """With what the vendor's own controllers want to read."""
    metadata = manifest["metadata"]
    if manifest["kind"] == "Ingress":
        spec = manifest["spec"] | (
            {"ingressClassName": cluster.flavor.ingress_class} if cluster.flavor.ingress_class else {}
        )
        told = (
            {"annotations": metadata.get("annotations", {}) | dict(cluster.flavor.ingress)}
            if cluster.flavor.ingress
            else {}
        )
        return manifest | {"metadata": metadata | told, "spec": spec}
    if (
        manifest["kind"] == "Gateway"
        and manifest["apiVersion"].startswith("gateway.networking")
        and cluster.flavor.balancer
    ):
        infrastructure = manifest["spec"].get("infrastructure", {}) | {"annotations": dict(cluster.flavor.balancer)}
        return manifest | {"spec": manifest["spec"] | {"infrastructure": infrastructure}}
    return manifest
