"""LDS: the node's doors. A listener that changes is drained, so all that changes often stands elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiculturekit.mesh.envoy import documents, egresses, filters, names, permissions, refusals, secrets, tracers
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import USUAL_PORTS, Caller, Node, Service, Version

INGRESS = "ingress"


def compiled(node: Node, *, folder: Path, has_ipv6: bool) -> list[Json]:
    """All listeners of the node, sorted by name."""
    services = {(service.app, service.name): service for service in node.services}
    found = [_ingress(node, folder=folder, has_ipv6=has_ipv6)]
    found += [_inbound(s, v, folder=folder, trust_domain=node.trust_domain) for s in node.services for v in s.versions]
    for caller in node.callers:
        found += _needs(caller, services, folder=folder)
        has_own = egresses.has_own(node, caller, port=USUAL_PORTS["http"])
        found.append(_proxy(caller, folder=folder, is_usual=caller.namespace is not None and not has_own))
    traced = [tracers.traced(listener, node.tracing) for listener in found]
    outside = [one for caller in node.callers for one in egresses.listeners(node, caller, folder=folder)]
    return sorted([*traced, *outside], key=lambda listener: str(listener["name"]))


def ports(listeners: list[Json]) -> dict[tuple[str | None, str, int], str]:
    """(network namespace, or None for Envoy's own; address; port) -> the name of the listener that takes connections there."""
    found = {}
    for listener in listeners:
        at = listener["address"].get("socket_address")
        if at and "udp_listener_config" not in listener:
            found[namespace(listener), at["address"], at["port_value"]] = listener["name"]
    return found


def namespace(listener: Json) -> str | None:
    """The file that keeps the network namespace in which it listens; None for Envoy's own."""
    file: str | None = listener["address"].get("socket_address", {}).get("network_namespace_filepath")
    return file


def _ingress(node: Node, *, folder: Path, has_ipv6: bool) -> Json:
    """Also on [::1], which is what a browser tries first for *.localhost. Its connections are shared out evenly among the workers, of which
    otherwise one takes nearly all: whoever waits at the socket first is woken first."""
    listener = _listener(INGRESS, node.ingress_port, [filters.ingress(folder)])
    listener["connection_balance_config"] = {"exact_balance": {}}
    if has_ipv6:
        listener["additional_addresses"] = [{"address": documents.address(node.ingress_port, host="::1")}]
    return listener


def _needs(caller: Caller, services: dict[tuple[str, str], Service], *, folder: Path) -> Iterator[Json]:
    for target, port in caller.needs.items():
        if service := services.get((caller.app, target)):
            name = names.need(caller.app, caller.name, target)
            chain = _tunnel(caller, service) if service.protocol == "tcp" else filters.outbound(folder, door=name)
            yield _listener(name, port, [chain], namespace=caller.namespace)


def _proxy(caller: Caller, *, folder: Path, is_usual: bool) -> Json:
    """In a namespace also on the usual port, where `http://order-service` arrives by itself."""
    door = f"{names.proxy_door(caller.app, caller.name)}/%REQ(:AUTHORITY)%"
    chain = filters.outbound(folder, door=door, way=names.unneeded(caller.app, caller.name))
    name = names.proxy(caller.app, caller.name)
    listener = _listener(name, caller.proxy, [chain], namespace=caller.namespace)
    if is_usual:
        usual = documents.address(USUAL_PORTS["http"], namespace=caller.namespace)
        listener["additional_addresses"] = [{"address": usual}]
    return listener


def _inbound(service: Service, version: Version, *, folder: Path, trust_domain: str) -> Json:
    name = names.inbound(service.app, service.name, version.name)
    tls = secrets.server((service.app, service.name), trust_domain=trust_domain)
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


def _tunnel(caller: Caller, service: Service) -> Json:
    """A door that is no longer allowed is another one: what is open behind the former one is ended, as where the other side's list of
    callers changes."""
    prefix = "tcp" if caller.name in service.callers else "refused"
    return _pipe(names.outbound(caller.app, caller.name, service.name, "*"), prefix=prefix)


def _pipe(cluster: str, *, prefix: str = "tcp") -> Json:
    fields = {"stat_prefix": prefix, "cluster": cluster, "idle_timeout": "0s"}
    return documents.extension(
        "filters.network.tcp_proxy", "extensions.filters.network.tcp_proxy.v3.TcpProxy", **fields
    )


def _listener(
    name: str, port: int, chain: list[Json], *, tls: Json | None = None, namespace: str | None = None
) -> Json:
    """Without SO_REUSEPORT, which would let a second program take the same port unnoticed."""
    return documents.typed(
        "config.listener.v3.Listener",
        name=name,
        address=documents.address(port, namespace=namespace),
        enable_reuse_port=False,
        per_connection_buffer_limit_bytes=documents.BUFFER,
        filter_chains=[{"filters": chain} | ({"transport_socket": tls} if tls else {})],
    )
