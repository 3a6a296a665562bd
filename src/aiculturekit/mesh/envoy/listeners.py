"""LDS: the node's doors. A listener that changes is drained, so all that changes often stands elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiculturekit.mesh.envoy import documents, filters, names, permissions, refusals, secrets, tracers
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Caller, Node, Service, Version

INGRESS = "ingress"


def compiled(node: Node, *, folder: Path, has_ipv6: bool) -> list[Json]:
    """All listeners of the node, sorted by name."""
    services = {(service.app, service.name): service for service in node.services}
    found = [_ingress(node, folder=folder, has_ipv6=has_ipv6)]
    found += [_inbound(s, v, folder=folder, trust_domain=node.trust_domain) for s in node.services for v in s.versions]
    for caller in node.callers:
        found += _needs(caller, services, folder=folder)
        found.append(_proxy(caller, folder=folder))
    return [tracers.traced(one, node.tracing) for one in sorted(found, key=lambda listener: str(listener["name"]))]


def ports(listeners: list[Json]) -> dict[int, str]:
    """Port -> the name of the listener on it."""
    return {listener["address"]["socket_address"]["port_value"]: listener["name"] for listener in listeners}


def addresses(listeners: list[Json]) -> set[tuple[str, int]]:
    """(host, port) of every listener."""
    places = [listener["address"]["socket_address"] for listener in listeners]
    return {(place["address"], place["port_value"]) for place in places}


def _ingress(node: Node, *, folder: Path, has_ipv6: bool) -> Json:
    """Also on [::1], which is what a browser tries first for *.localhost."""
    listener = _listener(INGRESS, node.ingress_port, [filters.ingress(folder)])
    if has_ipv6:
        listener["additional_addresses"] = [{"address": documents.address(node.ingress_port, host="::1")}]
    return listener


def _needs(caller: Caller, services: dict[tuple[str, str], Service], *, folder: Path) -> Iterator[Json]:
    for target, port in caller.needs.items():
        if service := services.get((caller.app, target)):
            name = names.need(caller.app, caller.name, target)
            chain = _tunnel(caller, target) if service.protocol == "tcp" else filters.outbound(folder, door=name)
            yield _listener(name, port, [chain])


def _proxy(caller: Caller, *, folder: Path) -> Json:
    door = f"{names.proxy_door(caller.app, caller.name)}/%REQ(:AUTHORITY)%"
    chain = filters.outbound(folder, door=door, way=names.unneeded(caller.app, caller.name))
    return _listener(names.proxy(caller.app, caller.name), caller.proxy, [chain])


def _inbound(service: Service, version: Version, *, folder: Path, trust_domain: str) -> Json:
    name = names.inbound(service.app, service.name, version.name)
    tls = secrets.server(folder, (service.app, service.name), trust_domain=trust_domain)
    logs = [refusals.of_handshakes(folder, app=service.app, service=service.name)]
    if service.protocol == "tcp":
        logs.append(refusals.of_connections(folder, app=service.app, service=service.name))
        chain = [_guard(service, trust_domain), _pipe(name)]
    else:
        chain = [filters.inbound(folder, door=name, app=service.app, service=service.name)]
    return _listener(name, version.port, chain, tls=tls) | {"access_log": logs}


def _guard(service: Service, trust_domain: str) -> Json:
    return documents.extension(
        "filters.network.rbac",
        "extensions.filters.network.rbac.v3.RBAC",
        stat_prefix="inbound",
        **permissions.engine(service, trust_domain),
    )


def _tunnel(caller: Caller, target: str) -> Json:
    return _pipe(names.outbound(caller.app, caller.name, target, "*"))


def _pipe(cluster: str) -> Json:
    fields = {"stat_prefix": "tcp", "cluster": cluster, "idle_timeout": "0s"}
    return documents.extension(
        "filters.network.tcp_proxy", "extensions.filters.network.tcp_proxy.v3.TcpProxy", **fields
    )


def _listener(name: str, port: int, chain: list[Json], *, tls: Json | None = None) -> Json:
    """Without SO_REUSEPORT, which would let a second program take the same port unnoticed."""
    return documents.typed(
        "config.listener.v3.Listener",
        name=name,
        address=documents.address(port),
        enable_reuse_port=False,
        per_connection_buffer_limit_bytes=documents.BUFFER,
        filter_chains=[{"filters": chain} | ({"transport_socket": tls} if tls else {})],
    )
