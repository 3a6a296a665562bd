"""What the daemon may do: to each kind of object that the target renders, what it does to it, and no more. Pure.

Whoever may make pods in a namespace may use every Secret and account of it, so this is much in the namespaces that it is given for. It is
given for all of them, or for those that are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
_MADE: Mapping[str, tuple[str, ...]] = {
    "": (
        "serviceaccounts", "services", "secrets", "configmaps", "limitranges", "resourcequotas", "persistentvolumeclaims",
    ),
    "apps": ("deployments", "statefulsets"),
    "batch": ("jobs", "cronjobs"),
    "networking.k8s.io": ("networkpolicies", "ingresses"),
    "policy": ("poddisruptionbudgets",),
    "autoscaling": ("horizontalpodautoscalers",),
    "coordination.k8s.io": ("leases",),
    "networking.istio.io": ("destinationrules", "envoyfilters", "gateways", "serviceentries", "sidecars", "virtualservices"),
    "security.istio.io": ("authorizationpolicies", "peerauthentications", "requestauthentications"),
    "telemetry.istio.io": ("telemetries",),
    "gateway.networking.k8s.io": ("gateways", "httproutes", "tcproutes", "tlsroutes"),
    "policy.linkerd.io": (
        "authorizationpolicies", "egressnetworks", "httplocalratelimitpolicies", "httproutes", "meshtlsauthentications",
        "networkauthentications", "servers",
    ),
    "keda.sh": ("scaledobjects",),
    "postgresql.cnpg.io": ("clusters",),
    "monitoring.coreos.com": ("podmonitors", "prometheusrules"),
}  # fmt: skip
"""API group -> the kinds that are applied, looked at and removed."""
_SEEN: Mapping[str, tuple[str, ...]] = {
    "": ("pods", "pods/log", "events"), "apps": ("replicasets",), "metrics.k8s.io": ("pods",),
}  # fmt: skip
"""Those that are looked at."""
_CHANGES = ["get", "list", "create", "patch", "delete"]
_REPLACED: Mapping[str, str] = {"": "secrets", "coordination.k8s.io": "leases"}
"""Those that are also written at the version at which they were read."""


def of_objects() -> list[Json]:
    """In a namespace."""
    changed = [{"apiGroups": [group], "resources": list(kinds), "verbs": _CHANGES} for group, kinds in _MADE.items()]
    seen = [
        {"apiGroups": [group], "resources": list(kinds), "verbs": ["get", "list"]} for group, kinds in _SEEN.items()
    ]
    replaced = [{"apiGroups": [group], "resources": [kind], "verbs": ["update"]} for group, kind in _REPLACED.items()]
    return changed + replaced + seen


def of_namespaces(named: Sequence[str]) -> list[Json]:
    """Making them too, where none are named."""
    if named:
        verbs = ["get", "patch"]
        return [{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": sorted(named), "verbs": verbs}]
    verbs = ["get", "list", "create", "patch", "delete"]
    return [{"apiGroups": [""], "resources": ["namespaces"], "verbs": verbs}]


def of_itself(lease: str) -> list[Json]:
    """Where it sits: the Lease by which several agree, and the label of the one that leads. (Who makes an object has no name to be asked
    for, and pods have names that nobody knows before.)"""
    leases: Json = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    return [
        leases | {"verbs": ["create"]},
        leases | {"resourceNames": [lease], "verbs": ["get", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]},
    ]


def allows(rules: Sequence[Json], *, group: str, resource: str) -> bool:
    """Whether all that is done to an object of this kind may be done."""
    return any(
        group in rule["apiGroups"] and resource in rule["resources"] and set(_CHANGES) <= set(rule["verbs"])
        for rule in rules
    )


def resources() -> Iterator[tuple[str, str]]:
    for group, kinds in _MADE.items():
        for kind in kinds:
            yield group, kind
