"""Calls from and to other nodes: the gateway by which foreign workloads come in, and the ways out to theirs. Pure.

Mutual TLS reaches from workload to workload. The gateway listens on one address; the name in the TLS greeting (SNI) chooses the service,
as whose own identity it answers; who calls is verified by the roots of the caller's own trust domain and no other (Envoy's SPIFFE
validator), and must be named by the service's `access.foreign`. A domain that is no neighbour any more has neither roots nor permissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiculturekit.mesh import identities
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy import actions, clusters, documents, filters, inbounds, names, permissions, secrets
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Caller, Neighbour, Node, Remote, Service
from aiculturekit.mesh.rules import UNSENT

_CALLER = "@gateway"
"""Whom the service's rules take for the caller; no workload can be called so."""
TIMEOUT = 15.0
"""Seconds for an answer from another node; the called side has its own, shorter or longer."""


def listeners(node: Node, *, folder: Path) -> Iterator[Json]:
    """The gateway, where a foreign workload may call anything here, and a loopback door for each need of theirs."""
    if node.gateway and (gates := [_chain(service, node, folder=folder) for service in _open(node)]):
        inspector = documents.extension(
            "filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector"
        )
        yield documents.typed(
            "config.listener.v3.Listener",
            name=names.GATEWAY,
            address=documents.address(node.gateway.port, host=node.gateway.host),
            enable_reuse_port=False,
            per_connection_buffer_limit_bytes=documents.BUFFER,
            listener_filters=[inspector],
            filter_chains=gates,
        )
    for caller, remote, port, _ in _ways(node):
        name = names.far(caller.app, caller.name, remote)
        yield documents.typed(
            "config.listener.v3.Listener",
            name=name,
            address=documents.address(port, namespace=caller.namespace),
            enable_reuse_port=False,
            per_connection_buffer_limit_bytes=documents.BUFFER,
            filter_chains=[{"filters": [filters.outbound(folder, door=name)]}],
        )


def hosts(node: Node) -> Iterator[Json]:
    """What is behind each of these doors, in the mesh's route table."""
    for service in _open(node):
        name = names.gate(service.app, service.name)
        settings = inbounds.settings(service) | {permissions.RBAC: _allowed(service, node)}
        host = {"name": name, "domains": [name], "routes": _routes(service), "typed_per_filter_config": settings}
        yield host | {"request_headers_to_remove": [names.LIMIT, names.TARGET, names.CLIENT]}
    for caller, remote, _, _ in _ways(node):
        name = names.far(caller.app, caller.name, remote)
        retry = {"retry_on": UNSENT, "num_retries": 1}
        action = {"cluster": name, "timeout": documents.seconds(TIMEOUT), "retry_policy": retry}
        yield {"name": name, "domains": [name], "routes": [{"match": {"prefix": "/"}, "route": action}]}


def outbound(node: Node) -> Iterator[Json]:
    """A cluster for each way out: the neighbour's gateway, which must show the very service's identity."""
    for caller, remote, _, neighbour in _ways(node):
        name = names.far(caller.app, caller.name, remote)
        yield clusters.distant(
            name,
            host=neighbour.host,
            port=neighbour.port,
            tls=secrets.abroad(
                (caller.app, caller.name),
                peer=identities.uri((remote.app, remote.service), trust_domain=remote.domain),
                sni=server_name(remote.app, remote.service, remote.domain),
            ),
        )


def server_name(app: str, service: str, domain: str) -> str:
    """The name in the TLS greeting by which a gateway finds the service."""
    return f"{service}.{app}.{domain}"


def foreigners(service: Service, node: Node) -> list[str]:
    """The foreign workloads that may call now: named by the service, and of a neighbour."""
    known = {neighbour.domain for neighbour in node.neighbours}
    return sorted(one for one in service.access.foreign if identities.domain(one) in known)


def _open(node: Node) -> list[Service]:
    return [service for service in node.services if service.protocol != "tcp" and foreigners(service, node)]


def _ways(node: Node) -> Iterator[tuple[Caller, Remote, int, Neighbour]]:
    """Every need of a foreign service whose gateway is known."""
    known = {neighbour.domain: neighbour for neighbour in node.neighbours if neighbour.host}
    for caller in node.callers:
        for remote, port in caller.remotes.items():
            if remote.domain in known:
                yield caller, remote, port, known[remote.domain]


def _chain(service: Service, node: Node, *, folder: Path) -> Json:
    door = names.gate(service.app, service.name)
    manager = filters.gate(folder, door=door, app=service.app, service=service.name)
    return {
        "name": door,
        "filter_chain_match": {"server_names": [server_name(service.app, service.name, node.trust_domain)]},
        "filters": [manager],
        "transport_socket": secrets.gate((service.app, service.name)),
    }


def _allowed(service: Service, node: Node) -> Json:
    principals = [{"authenticated": {"principal_name": {"exact": one}}} for one in foreigners(service, node)]
    policy = {"permissions": [{"any": True}], "principals": principals}
    rules = {"action": "ALLOW", "policies": {"foreign": policy}}
    return documents.typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})


def _routes(service: Service) -> list[Json]:
    """The service's own rules, to the replicas themselves: who called has been verified here."""
    found = [route for branch in branches(service) for route in actions.compiled(service, _CALLER, branch)]
    return [_inwards(route, service) for route in found]


def _inwards(value: Any, service: Service) -> Any:
    """The same with the clusters of the replicas in place of a caller's ways to them."""
    if isinstance(value, dict):
        return {key: _inwards(item, service) for key, item in value.items()}
    if isinstance(value, list):
        return [_inwards(item, service) for item in value]
    outwards = names.outbound(service.app, _CALLER, service.name, "")
    if isinstance(value, str) and value.startswith(outwards):
        return names.inbound(service.app, service.name, value.removeprefix(outwards))
    return value
