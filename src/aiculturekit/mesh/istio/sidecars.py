"""Sidecar: each workload's Envoy knows what its workload needs, and nothing else; with a thousand services that is most of its memory. It
is no guard between workloads: who is refused says the service's own side. To the outside it is one: where an application needs anything
there, its workloads reach what their Sidecar shows them and nothing else (REGISTRY_ONLY), as far as nobody goes round their Envoy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.istio import federation, names, outside
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for caller in node.callers:
        hosts = [f"./{names.host(target, place)}" for target in sorted(caller.needs)]
        hosts += outside.hosts(node, caller, place)
        hosts += federation.hosts(node, caller)
        held = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}} if node.egresses else {}
        yield names.networking(
            "Sidecar",
            caller.name,
            place,
            workloadSelector={"labels": {"app": caller.name}},
            egress=[{"hosts": [*hosts, "istio-system/*"]}],
            **held,
        )
