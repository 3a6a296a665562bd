"""Failures made on purpose on the way to a tcp service. Pure.

Envoy can draw for a failure, and wait, only where there is a request. So while a fault is in force the caller's cluster leads into a
tunnel of the node: `entrance` takes the connection, which says in its first bytes (PROXY protocol) over which edge it came, and asks
for the way on by a CONNECT; `exit` reads that request, where the shared route table says for each edge what is to happen to it, and goes
on to where the caller's cluster would have led.

Both stand there from the node's first tcp service on, and neither knows of a fault: switching one on or off changes clusters and
routes, never a listener, so that whatever is open stays open, in the tunnel or beside it.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiculturekit.mesh.envoy import actions, capacities, chains, documents, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Caller, Node, Service
from aiculturekit.mesh.rules import Fault

_EDGE = 0xEA
"""The type of our own value in the PROXY protocol: one of those that are left to applications (its specification, 2.2.8)."""
_READ = "%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:edge)%"
_COUNTED = "x-envoy-downstream-service-cluster"
"""The request header by which Envoy's fault filter counts apart."""
_CONNECT = "CONNECT"
_SAYING = "envoy.transport_sockets.upstream_proxy_protocol"
_NETWORK = "extensions.filters.network"


def fault(service: Service, caller: str) -> Fault | None:
    """What is to happen to the caller's connections to the tcp service."""
    found = service.traffic.fault if service.protocol == "tcp" else None
    return found if found and (not found.callers or caller in found.callers) else None


def is_needed(node: Node) -> bool:
    return any(service.protocol == "tcp" for service in node.services)


def into(way: Json, *, app: str, caller: str, service: str, admin: Path) -> Json:
    """The caller's cluster, which leads into the tunnel; the tunnel leads to `beyond`, the one that it was."""
    name = names.outbound(app, caller, service, "*")
    kept = ("connect_timeout", "per_connection_buffer_limit_bytes", "circuit_breakers")
    return documents.typed(
        "config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        load_assignment=_piped(name, names.tunnel_socket(admin, names.ENTRANCE)),
        **{key: way[key] for key in kept},
        transport_socket=_saying(names.edge(app, caller, service)),
    )


def entered_late(old: Mapping[str, Json], new: Mapping[str, Json]) -> Mapping[str, Json]:
    """The new clusters, but for the callers' that begin to lead into the tunnel: these as they were."""
    stand = {one["name"]: one for one in old.get(names.CLUSTERS, {}).get("resources", [])}
    listed = new[names.CLUSTERS]["resources"]
    led = {one["name"] for one in listed if one.get("transport_socket", {}).get("name") == _SAYING}
    entering = led & stand.keys()
    kept = [stand[one["name"]] if one["name"] in entering else one for one in listed]
    return {**new, names.CLUSTERS: documents.bundle(kept)} if entering else new


def clusters(node: Node, *, admin: Path) -> Iterator[Json]:
    if is_needed(node):
        yield documents.typed(
            "config.cluster.v3.Cluster",
            name=names.EXIT,
            type="STATIC",
            load_assignment=_piped(names.EXIT, names.tunnel_socket(admin, names.EXIT)),
            connect_timeout="2s",
            per_connection_buffer_limit_bytes=documents.BUFFER,
            circuit_breakers={"thresholds": [capacities.PLENTY]},
        )


def listeners(node: Node, *, folder: Path, admin: Path) -> Iterator[Json]:
    if is_needed(node):
        rules = [{"tlv_type": _EDGE, "on_tlv_present": {"key": "edge"}}]
        reading = documents.extension(
            "filters.listener.proxy_protocol",
            "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
            rules=rules,
        )
        yield _listener(names.ENTRANCE, _asking(), admin=admin) | {"listener_filters": [reading]}
        yield _listener(names.EXIT, _answering(folder), admin=admin)


def hosts(node: Node) -> Iterator[Json]:
    """For each edge with a fault a door of the shared route table; for all others one that leads on."""
    services = {(service.app, service.name): service for service in node.services}
    for caller in node.callers:
        for target in caller.needs:
            service = services.get((caller.app, target))
            if service and (wanted := fault(service, caller.name)):
                door = names.tunnel_door(caller.app, caller.name, target)
                yield {"name": door, "domains": [door], "routes": list(_routes(wanted, caller, target))}
    if is_needed(node):
        # A worker may have its clusters a moment before its routes, or lose a route while another still leads here.
        plain: Json = {"match": {"connect_matcher": {}}, "route": _going({"cluster_header": names.WAY})}
        yield {"name": names.TUNNEL, "domains": [f"{names.TUNNEL}/*"], "routes": [plain]}


def _routes(wanted: Fault, caller: Caller, target: str) -> Iterator[Json]:
    """As for requests: where both are to happen to the same share, the route draws for them."""
    going = _going({"cluster": names.beyond(caller.app, caller.name, target)})
    match: Json = {"connect_matcher": {}}
    plain: Json = {"match": match, "route": going}
    if wanted.delay is None or not wanted.abort or wanted.share >= 100:
        yield plain | {"typed_per_filter_config": actions.failing(wanted)}
        return
    drawn = match | {"runtime_fraction": {"default_value": actions.percent(wanted.share)}}
    always = dataclasses.replace(wanted, share=100.0)
    yield plain | {"match": drawn, "typed_per_filter_config": actions.failing(always)}
    yield plain


def _going(where: Json) -> Json:
    upgrade = {"upgrade_type": _CONNECT, "connect_config": {}}
    return where | {"timeout": "0s", "idle_timeout": "0s", "upgrade_configs": [upgrade]}


def _saying(edge: str) -> Json:
    plain = documents.extension("transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    told = {"version": "V2", "added_tlvs": [{"type": _EDGE, "value": base64.b64encode(edge.encode()).decode()}]}
    return documents.extension(
        _SAYING.removeprefix("envoy."),
        "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config=told,
        transport_socket=plain,
    )


def _asking() -> Json:
    """Over HTTP/1, where each connection has one of its own: none waits for another one's data."""
    said = {names.DOOR: f"{names.TUNNEL}/{_READ}", names.WAY: f"{names.BEYOND}/{_READ}", _COUNTED: _READ}
    tunnel = {
        "hostname": "tunnel:1",  # a CONNECT must name a port; nobody looks at it
        "headers_to_add": [{"header": {"key": key, "value": value}} for key, value in said.items()],
    }
    return documents.extension(
        "filters.network.tcp_proxy",
        f"{_NETWORK}.tcp_proxy.v3.TcpProxy",
        stat_prefix=names.ENTRANCE,
        cluster=names.EXIT,
        idle_timeout="0s",
        tunneling_config=tunnel,
    )


def _answering(folder: Path) -> Json:
    router = documents.extension(
        "filters.http.router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    )
    source = documents.source(folder, names.routes_file(names.MESH_ROUTES))
    return documents.extension(
        "filters.network.http_connection_manager",
        f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=names.EXIT,
        rds={"route_config_name": names.MESH_ROUTES, "config_source": source},
        http_filters=[*chains.failures(), router],
        upgrade_configs=[{"upgrade_type": _CONNECT}],
        stream_idle_timeout="0s",
        generate_request_id=False,
    )


def _listener(name: str, filter_: Json, *, admin: Path) -> Json:
    """On a socket that its owner alone may open, since whoever does is believed which edge he came over."""
    address = {"pipe": {"path": str(names.tunnel_socket(admin, name)), "mode": 0o600}}
    return documents.typed(
        "config.listener.v3.Listener",
        name=name,
        address=address,
        per_connection_buffer_limit_bytes=documents.BUFFER,
        filter_chains=[{"filters": [filter_]}],
    )


def _piped(cluster: str, path: Path) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(path)}}}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}
