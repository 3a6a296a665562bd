"""What things are called in an Istio mesh. Pure."""

from __future__ import annotations

from typing import Any

from aiculturekit.mesh.nodes import INGRESS
from aiculturekit.mesh.rendering import Manifest, Place

PEER = "x-aic-peer"
"""The request header in which the service's side notes for its own limits who calls; it never reaches a replica."""


def host(service: str, place: Place) -> str:
    return f"{service}.{place.namespace}.svc.cluster.local"


def principal(caller: str, place: Place) -> str:
    """The caller's SPIFFE ID as Istio writes it: without the scheme."""
    namespace, account = place.ingress.split("/") if caller == INGRESS else (place.namespace, caller)
    return f"{place.trust_domain}/ns/{namespace}/sa/{account}"


def gateway_namespace(place: Place) -> str:
    return place.ingress.split("/")[0]


def at_gateway(manifest: Manifest, place: Place) -> Manifest:
    """The same in the namespace of the ingress gateway, whose pods only objects of that namespace can select."""
    return manifest | {"metadata": manifest["metadata"] | {"namespace": gateway_namespace(place)}}


def networking(kind: str, name: str, place: Place, /, **spec: Any) -> Manifest:
    return _object("networking.istio.io/v1", kind, name, place.namespace, spec)


def security(kind: str, name: str, place: Place, /, **spec: Any) -> Manifest:
    return _object("security.istio.io/v1", kind, name, place.namespace, spec)


def observed(kind: str, name: str, place: Place, /, **spec: Any) -> Manifest:
    return _object("telemetry.istio.io/v1", kind, name, place.namespace, spec)


def envoy_filter(name: str, namespace: str, /, **spec: Any) -> Manifest:
    return _object("networking.istio.io/v1alpha3", "EnvoyFilter", name, namespace, spec)


def _object(version: str, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
