"""NetworkPolicy for each workload and server, from `needs`: who may come in and what may be reached, by the pods' labels. Pure.

It holds where the cluster's network enforces it, beside the mesh's own rules, which know certificates instead of addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.mesh.gateway_api.objects import GATEWAY_NAME
from aiculturekit.mesh.nodes import INGRESS, Node, Service
from aiculturekit.targets.kubernetes import monitors
from aiculturekit.targets.kubernetes.objects import RULES, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

Json = dict[str, Any]
_CONTROL: dict[str, str] = {"istio": "istio-system", "linkerd": "linkerd"}
"""Where a mesh's own servers are, which its proxies must reach."""
_ANYWHERE = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
_DNS = (53, 5353)
_NAMESPACE = "kubernetes.io/metadata.name"


def rendered(app: str, node: Node, *, ports: dict[str, int], usual: int, cluster: Cluster) -> Iterator[Owned]:
    """One for each name that has pods."""
    services = {service.name: service for service in node.services}
    callers = {caller.name: caller for caller in node.callers}
    outside = {name: sorted({one.port for one in node.egresses if one.caller == name}) for name in callers}
    for name in sorted(services.keys() | callers.keys()):
        needs = sorted(callers[name].needs) if name in callers else []
        spec: Json = {
            "podSelector": {"matchLabels": {"app": name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [*_coming(services.get(name), ports.get(name, usual), cluster), *_watched(cluster)],
            "egress": [
                _names(),
                *_control(cluster),
                *(_to(need, ports.get(need, usual)) for need in needs),
                *_beyond([*outside.get(name, ()), *_gateways(node, name)]),
            ],
        }
        kind = made("networking.k8s.io/v1", "NetworkPolicy", name, app=app, cluster=cluster, component=name, spec=spec)
        yield Owned(RULES, kind)


def _coming(service: Service | None, port: int, cluster: Cluster) -> list[Json]:
    if service is None or not service.callers:
        return []
    sources = [_pods(caller) for caller in sorted(service.callers) if caller != INGRESS]
    ports = [{"protocol": "TCP", "port": port}]
    found = [{"from": sources, "ports": ports}] if sources else []
    return found + ([_public(service, ports, cluster)] if INGRESS in service.callers else [])


def _watched(cluster: Cluster) -> list[Json]:
    """By Prometheus, which may be in any namespace."""
    port = monitors.port(cluster)
    return [{"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": port}]}] if port else []


def _public(service: Service, ports: list[Json], cluster: Cluster) -> Json:
    """From the gateway's pods, where it is known which those are: an ingress controller may be outside of the cluster altogether."""
    if cluster.mesh == "none":
        return {"ports": ports}
    if cluster.ingress:
        return {"from": [_namespace(cluster.ingress.partition("/")[0])], "ports": ports}
    gateway = {"namespaceSelector": {}, "podSelector": {"matchLabels": {GATEWAY_NAME: service.app}}}
    return {"from": [gateway], "ports": ports}


def _to(need: str, port: int) -> Json:
    return {"to": [_pods(need)], "ports": [{"protocol": "TCP", "port": port}]}


def _gateways(node: Node, name: str) -> Iterator[int]:
    """Where the services of other trust domains are called."""
    remotes = next((caller.remotes for caller in node.callers if caller.name == name), {})
    yield from {one.port for one in node.neighbours if one.port and any(far.domain == one.domain for far in remotes)}


def _beyond(ports: list[int]) -> list[Json]:
    """What lies outside has a name, which a NetworkPolicy cannot say: its port, anywhere."""
    listed = [{"protocol": "TCP", "port": port} for port in sorted(set(ports))]
    return [{"to": _ANYWHERE, "ports": listed}] if listed else []


def _names() -> Json:
    """The cluster's DNS, wherever it runs: a policy sees the port of its pods (OpenShift's is 5353), and a cache on each node is no pod
    (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/)."""
    ports = [{"protocol": protocol, "port": port} for port in _DNS for protocol in ("UDP", "TCP")]
    return {"to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "169.254.20.10/32"}}], "ports": ports}


def _control(cluster: Cluster) -> list[Json]:
    namespace = _CONTROL.get(cluster.mesh)
    return [{"to": [_namespace(namespace)]}] if namespace else []


def _pods(name: str) -> Json:
    return {"podSelector": {"matchLabels": {"app": name}}}


def _namespace(name: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}}
