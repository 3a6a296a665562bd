"""AuthorizationPolicy: who may call whom, from the callers that `needs` names. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh.istio import federation, names
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rendering import Manifest, Place


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    """One policy for each service; one without callers admits nobody."""
    for service in node.services:
        rules = [_rule(service, caller, place) for caller in sorted(service.callers)]
        if foreign := federation.foreigners(service, node):
            rules.append({"from": [{"source": {"principals": foreign}}]})
        selector = {"matchLabels": {"app": service.name}}
        fields: dict[str, Any] = {"selector": selector, "action": "ALLOW"} | ({"rules": rules} if rules else {})
        policy = names.security("AuthorizationPolicy", service.name, place, **fields)
        yield _rehearsed(policy) if service.access.audit else policy


def _rehearsed(policy: Manifest) -> Manifest:
    """Under audit: compared and noted in Envoy's figures and metadata, not enforced. It is the only policy of its service, and Istio
    admits everybody where none is enforced."""
    return policy | {"metadata": policy["metadata"] | {"annotations": {"istio.io/dry-run": "true"}}}


def _rule(service: Service, caller: str, place: Place) -> Manifest:
    rule: Manifest = {"from": [{"source": {"principals": [names.principal(caller, place)]}}]}
    if operations := service.operations.get(caller):
        rule["to"] = [{"operation": _operation(method, path)} for method, path in operations]
    return rule


def _operation(method: str, path: str) -> Manifest:
    return ({"methods": [method]} if method else {}) | ({"paths": [path]} if path else {})
