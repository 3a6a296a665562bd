"""CDS: where a connection goes, and as whom. A cluster that changes is replaced; what is under way on the old one ends
there. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.mesh import identities
from aiculturekit.mesh.envoy import (
    capacities,
    documents,
    egresses,
    endpoints,
    names,
    outside,
    secrets,
    shortcuts,
    tracers,
    tunnels,
)
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.envoy.endpoints import Where
from aiculturekit.mesh.nodes import INGRESS, Caller, Node, Service, Version
from aiculturekit.mesh.rules import Traffic

REPLICA_IDLE = 1.5
"""Seconds before an unused connection to a replica is closed: sooner than any usual server does (gunicorn 2 s,
uvicorn and Node 5 s), since a request sent into a connection that the server is just closing is lost."""
HOP_IDLE, HOP_LIFE = 300.0, 3600.0
"""Seconds before a connection between two identities is given up unused, and at all: the next one shows current
certificates."""
_VOLUME = 5
"""Answers within a window below which a breaker does not judge."""


Ports = Mapping[tuple[str, str, str], tuple[Where, ...]]
"""(app, service, version) -> its replicas."""


def compiled(node: Node, *, ports: Ports, admin: Path, authorities: str = "") -> list[Json]:
    """All clusters of the node, sorted by name."""
    found = [
        *tracers.collector(node.tracing),
        *_outbound(node, ports, admin),
        *tunnels.clusters(node, admin=admin),
        *_inbound(node, ports),
        *_unneeded(node),
        *_asked(node),
        *outside.compiled(node, authorities=authorities),
        *egresses.clusters(node),
    ]
    return sorted(found, key=lambda cluster: str(cluster["name"]))


def published(clusters: Iterable[Json], name: str, *, ports: Iterable[Where]) -> list[Json]:
    """The clusters with other replicas behind one of them, and behind the ways that lead straight to these; unchanged where there is
    none of this name."""
    assignment = endpoints.of(name, ports)
    return [one | {"load_assignment": assignment} if _of_whom(one) == name else one for one in clusters]


def _of_whom(cluster: Json) -> str | None:
    """The name of the cluster whose replicas it has: an assignment keeps the name that it was made for."""
    found: str | None = cluster.get("load_assignment", {}).get("cluster_name")
    return found


def replicas(clusters: Iterable[Json]) -> dict[tuple[str, str, str], tuple[Where, ...]]:
    """The Ports that clusters were compiled with."""
    found: dict[tuple[str, str, str], tuple[Where, ...]] = {}
    for cluster in clusters:
        if cluster["name"].startswith("in/"):
            _, app, service, version = cluster["name"].split("/")
            found[app, service, version] = endpoints.replicas(cluster["load_assignment"])
    return found


def _inbound(node: Node, ports: Ports) -> Iterator[Json]:
    for service in node.services:
        for version in service.versions:
            yield _replicas(service, version, ports=_of(ports, service, version))


def _of(ports: Ports, service: Service, version: Version) -> tuple[Where, ...]:
    return ports.get((service.app, service.name, version.name), ())


def _outbound(node: Node, ports: Ports, admin: Path) -> Iterator[Json]:
    services = {(service.app, service.name): service for service in node.services}
    pairs = {(caller.app, caller.name, target) for caller in node.callers for target in caller.needs}
    pairs |= {(entry.app, INGRESS, entry.service) for entry in node.entries}
    for app, caller, target in sorted(pairs):
        service = services.get((app, target))
        if service is None or not service.versions:
            continue
        if service.protocol == "tcp":
            way = _way(service, caller, ports, trust_domain=node.trust_domain)
            has_fault = tunnels.fault(service, caller) is not None
            # What waits in the tunnel while its fault is taken back must still find the way on.
            yield way | {"name": names.beyond(app, caller, target)}
            yield tunnels.into(way, app=app, caller=caller, service=target, admin=admin) if has_fault else way
            continue
        for version in service.versions:
            yield _hop(service, version, caller, trust_domain=node.trust_domain)


def _way(service: Service, caller: str, ports: Ports, *, trust_domain: str) -> Json:
    if version := shortcuts.version(service, caller):
        return _straight(service, version, caller, ports=_of(ports, service, version))
    return _hop_tcp(service, caller, trust_domain=trust_domain)


def _unneeded(node: Node) -> Iterator[Json]:
    for caller in node.callers:
        yield _refused(caller, node)


def _asked(node: Node) -> Iterator[Json]:
    """The services that the ingress asks about requests to others: all versions in one cluster, by weight."""
    services = {(service.app, service.name): service for service in node.services}
    wanted = {
        (service.app, check.service) for service in node.services if (check := service.access.check) and check.service
    }
    for app, target in sorted(wanted):
        if (service := services.get((app, target))) and service.protocol != "tcp":
            whole = _hop_tcp(service, INGRESS, trust_domain=node.trust_domain, alpn="h2")
            yield whole | _hop_protocol()


def distant(name: str, *, host: str, port: int, tls: Json) -> Json:
    """The way to another node; its name is looked up again and again, unless it is an address."""
    endpoint = {"endpoint": {"address": documents.address(port, host=host)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return _cluster(name, assignment) | {
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "transport_socket": tls,
        **_hop_protocol(),
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _replicas(service: Service, version: Version, *, ports: Iterable[Where]) -> Json:
    name = names.inbound(service.app, service.name, version.name)
    return {
        **_cluster(name, endpoints.of(name, ports), **capacities.replicas(service)),
        **capacities.choice(service.traffic.balance),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": _ejection(service.traffic),
        **_from(version.namespace),
        **_speaks(service),
    }


def _hop(service: Service, version: Version, caller: str, *, trust_domain: str) -> Json:
    name = names.outbound(service.app, caller, service.name, version.name)
    peer = {"exact": identities.uri((service.app, service.name), trust_domain=trust_domain)}
    return _cluster(name, endpoints.of(name, [version.port]), **capacities.hop(service.traffic)) | {
        "transport_socket": secrets.client((service.app, caller), peer=peer, alpn="h2"),
        **_hop_protocol(),
    }


def _hop_tcp(service: Service, caller: str, *, trust_domain: str, alpn: str = "") -> Json:
    name = names.outbound(service.app, caller, service.name, "*")
    peer = {"exact": identities.uri((service.app, service.name), trust_domain=trust_domain)}
    tls = secrets.client((service.app, caller), peer=peer, alpn=alpn)
    return _cluster(name, endpoints.weighted(name, service)) | {"transport_socket": tls}


def _straight(service: Service, version: Version, caller: str, *, ports: Iterable[Where]) -> Json:
    """The version's own cluster under the caller's name, so that what comes over the edge is counted for it alone."""
    return _replicas(service, version, ports=ports) | {"name": names.outbound(service.app, caller, service.name, "*")}


def _refused(caller: Caller, node: Node) -> Json:
    """One cluster for all that a caller does not need: the callee's own side says no, as it would on any platform. It has no endpoints
    of its own, which would be as many as there are pairs of workloads: the route names the address."""
    name = names.unneeded(caller.app, caller.name)
    peer = {"prefix": identities.uri((caller.app, ""), trust_domain=node.trust_domain)}
    named = {"use_http_header": True, "http_header_name": names.TARGET}
    return _cluster(name) | {
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": named,
        "transport_socket": secrets.client((caller.app, caller.name), peer=peer, alpn="h2"),
        **_hop_protocol(),
    }


def _cluster(name: str, assignment: Json | None = None, **thresholds: Any) -> Json:
    return documents.typed(
        "config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        **({"load_assignment": assignment} if assignment else {}),
        connect_timeout="2s",
        per_connection_buffer_limit_bytes=documents.BUFFER,
        circuit_breakers={"thresholds": [capacities.PLENTY | thresholds]},
    )


def _from(namespace: str | None) -> Json:
    """Dial from within the namespace: its loopback is nobody else's."""
    if namespace is None:
        return {}
    return {"upstream_bind_config": {"source_address": documents.address(0, namespace=namespace)["socket_address"]}}


def _speaks(service: Service) -> Json:
    """How to talk to a replica: as its protocol says."""
    if service.protocol == "tcp":
        return {}
    kind = "http2_protocol_options" if service.protocol == "http2" else "http_protocol_options"
    told = {"http_filters": capacities.unmarked()} if service.traffic.balance.client else {}
    return _http({kind: {}}, idle_timeout=documents.seconds(REPLICA_IDLE), more=told)


def _hop_protocol() -> Json:
    """Between two identities always HTTP/2, since many requests share one TLS record then: measured with 32
    connections it carries 1.4 times what HTTP/1.1 does; with a single one 0.9 times. `allow_connect` is how a
    websocket crosses it."""
    return _http(
        {"http2_protocol_options": {"allow_connect": True}},
        idle_timeout=documents.seconds(HOP_IDLE),
        max_connection_duration=documents.seconds(HOP_LIFE),
    )


def _http(kind: Json, *, more: Json | None = None, **limits: str) -> Json:
    options = documents.typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config=kind,
        common_http_protocol_options=limits,
        **(more or {}),
    )
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}


def _ejection(traffic: Traffic) -> Json:
    """Without a breaker: a replica that refuses connections is left out for a second while another one is there (a
    single one never; with places all of one, so that the next takes over). With one: also a replica whose answers fail, even the
    last, which is what opens the circuit."""
    breaker = traffic.breaker
    base = {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
    }
    if breaker is None:
        return base | {
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 100 if traffic.zones else 50,
        }
    window = documents.seconds(max(breaker.over, 0.1))
    found = base | {
        "interval": window,
        "base_ejection_time": window,
        "max_ejection_time": documents.seconds(max(breaker.over, 0.1) * 6),
        "max_ejection_percent": 100,
    }
    if breaker.consecutive is not None:
        found |= {"consecutive_5xx": breaker.consecutive, "enforcing_consecutive_5xx": 100}
    if breaker.errors is not None:
        found |= {
            "failure_percentage_threshold": round(breaker.errors),
            "failure_percentage_minimum_hosts": 1,
            "failure_percentage_request_volume": _VOLUME,
            "enforcing_failure_percentage": 100,
            "enforcing_failure_percentage_local_origin": 100,
        }
    return found
