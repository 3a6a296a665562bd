"""What lies outside, for workloads in network namespaces of their own: doors inside, connections outside, and the log of what was refused.
Pure.

Each declared host has a loopback address of its own in the namespace (`loopbacks`), which its /etc/hosts or this module's name server
gives. There a listener passes what asks for the declared name and refuses the rest: https by the name in the TLS greeting, without
opening it; http and tcp by the address alone. On a shared loopback none of this exists: nothing could hold anybody to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiculturekit.mesh import identities
from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Caller, Egress, Node

_DNS = 53
_CACHE = {"name": "egress", "dns_lookup_family": "V4_PREFERRED"}
"""One cache of resolved names for the whole node."""
_NUMBER = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_NOWHERE = {"action": "ALLOW", "policies": {}}


def of(node: Node, caller: Caller) -> list[Egress]:
    """The egress that is enforced for the caller: one for each address, the one that asks least of who comes. The collector of spans is
    everybody's."""
    if caller.namespace is None:
        return []
    mine = [one for one in node.egresses if (one.app, one.caller) == (caller.app, caller.name)]
    if node.tracing and ":" not in node.tracing.host:
        mine.append(Egress(caller.app, caller.name, "http", node.tracing.host, node.tracing.port))
    mine.sort(key=lambda one: (one.scheme, one.host, one.port))
    return list({(one.host, one.port): one for one in mine}.values())


def has_own(node: Node, caller: Caller, *, port: int) -> bool:
    """Whether the workload's own loopback stands for this machine's at the port."""
    at = loopbacks(node, caller)
    return any((at[one.host], one.port) == (documents.LOOPBACK, port) for one in of(node, caller))


def loopbacks(node: Node, caller: Caller) -> dict[str, str]:
    """Declared host -> its address in the caller's namespace: the same for as long as the host is declared. A number stands for
    itself, as does this machine's own loopback."""
    found: dict[str, str] = {}
    for host in sorted({one.host for one in of(node, caller)}):
        if host == "localhost" or is_number(host):
            found[host] = documents.LOOPBACK if host == "localhost" else host
        else:
            found[host] = _free(host, found.values())
    return found


def is_number(host: str) -> bool:
    """Whether it is an address of IPv4, which nobody looks up and no TLS greeting names (RFC 6066, 3)."""
    return _NUMBER.fullmatch(host) is not None


def listeners(node: Node, caller: Caller, *, folder: Path) -> Iterator[Json]:
    at = loopbacks(node, caller)
    for egress in of(node, caller):
        yield _listener(egress, at[egress.host], caller, folder=folder, trust_domain=node.trust_domain)
    if caller.namespace:
        yield _name_server(at, caller, folder=folder, trust_domain=node.trust_domain)


def clusters(node: Node) -> Iterator[Json]:
    enforced = [egress for caller in node.callers for egress in of(node, caller)]
    for egress in enforced:
        if not _is_open(egress):
            yield _cluster(egress)
    if any(_is_open(egress) for egress in enforced):
        kind = documents.typed("extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", dns_cache_config=_CACHE)
        cluster_type = {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": kind}
        yield _base(names.EGRESS_BY_NAME) | {"lb_policy": "CLUSTER_PROVIDED", "cluster_type": cluster_type}


def _is_open(egress: Egress) -> bool:
    """Whether only the connection itself says which host it is for."""
    return egress.host.startswith("*.") and egress.stand_in is None


def _listener(egress: Egress, at: str, caller: Caller, *, folder: Path, trust_domain: str) -> Json:
    name = names.egress(egress.app, egress.caller, egress.host, egress.port)
    address = documents.address(egress.port, host=at, namespace=caller.namespace)
    listener = documents.typed(
        "config.listener.v3.Listener",
        name=name,
        address=address,
        enable_reuse_port=False,
        per_connection_buffer_limit_bytes=documents.BUFFER,
    )
    if is_number(egress.host):
        listener["freebind"] = True  # the namespace may get the address after its listener: see namespaces.own
    passing = _passing(egress)
    if egress.scheme != "https" or is_number(egress.host):
        return listener | {"filter_chains": [{"filters": passing}]}
    inspector = documents.extension(
        "filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector"
    )
    guard = documents.extension(
        "filters.network.rbac", "extensions.filters.network.rbac.v3.RBAC", stat_prefix="egress", rules=_NOWHERE
    )
    return listener | {
        "listener_filters": [inspector],
        "filter_chains": [{"filter_chain_match": {"server_names": [egress.host]}, "filters": passing}],
        "default_filter_chain": {"filters": [guard, *passing]},
        "access_log": [_refused(caller, folder=folder, trust_domain=trust_domain)],
    }


def _passing(egress: Egress) -> list[Json]:
    cluster = names.EGRESS_BY_NAME
    before = []
    if _is_open(egress):
        fields = {"port_value": egress.port, "dns_cache_config": _CACHE}
        kind = "extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig"
        before = [documents.extension("filters.network.sni_dynamic_forward_proxy", kind, **fields)]
    else:
        cluster = names.egress(egress.app, egress.caller, egress.host, egress.port)
    kind = "extensions.filters.network.tcp_proxy.v3.TcpProxy"
    return [*before, documents.extension("filters.network.tcp_proxy", kind, stat_prefix="egress", cluster=cluster)]


def _cluster(egress: Egress) -> Json:
    """Its names are looked up in the host's namespace, and nobody waits for the first answer."""
    name = names.egress(egress.app, egress.caller, egress.host, egress.port)
    host, port = egress.stand_in or (egress.host, egress.port)
    endpoint = {"endpoint": {"address": documents.address(port, host=host)}}
    return _base(name) | {
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "wait_for_warm_on_init": False,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _base(name: str) -> Json:
    return documents.typed(
        "config.cluster.v3.Cluster",
        name=name,
        connect_timeout="5s",
        per_connection_buffer_limit_bytes=documents.BUFFER,
    )


def _name_server(at: dict[str, str], caller: Caller, *, folder: Path, trust_domain: str) -> Json:
    """Answers for what no hosts file can say, `*.example.com`, and notes every name that was looked for."""
    domains = [_domain(host, address) for host, address in at.items() if not is_number(host)] or [
        _domain("localhost", documents.LOOPBACK)
    ]
    line = _line(caller, trust_domain) | {"query": "%QUERY_NAME%", "type": "%QUERY_TYPE%", "answers": "%ANSWER_COUNT%"}
    fields = {
        "stat_prefix": "names",
        "server_config": {"inline_dns_table": {"virtual_domains": domains}},
        "access_log": [_file(folder, line)],
    }
    answering = documents.extension(
        "filters.udp.dns_filter", "extensions.filters.udp.dns_filter.v3.DnsFilterConfig", **fields
    )
    address = documents.address(_DNS, namespace=caller.namespace)
    address["socket_address"]["protocol"] = "UDP"
    return documents.typed(
        "config.listener.v3.Listener",
        name=names.name_server(caller.app, caller.name),
        address=address,
        enable_reuse_port=True,
        udp_listener_config={},
        listener_filters=[answering],
    )


def _domain(host: str, address: str) -> Json:
    return {"name": host, "endpoint": {"address_list": {"address": [address]}}}


def _refused(caller: Caller, *, folder: Path, trust_domain: str) -> Json:
    """Who asked for a name that is not declared."""
    is_denied = documents.extension(
        "access_loggers.extension_filters.cel",
        "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression="connection.termination_details.startsWith('rbac_access_denied')",
    )
    line = _line(caller, trust_domain) | {"at": "%START_TIME(%s.%3f)%", "query": "%REQUESTED_SERVER_NAME%"}
    return _file(folder, line) | {"filter": {"extension_filter": is_denied}}


def _line(caller: Caller, trust_domain: str) -> dict[str, str]:
    peer = identities.uri((caller.app, caller.name), trust_domain=trust_domain)
    return {"peer": peer, "app": caller.app, "method": "", "path": ""}


def _file(folder: Path, line: dict[str, str]) -> Json:
    return documents.extension(
        "access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        path=str(folder / names.REFUSALS),
        log_format={"json_format": line},
    )


def _free(host: str, taken: Iterable[str]) -> str:
    """An address of 127.64.0.0/10 that follows from the name; the next one where two names meet."""
    others = set(taken)
    number = int.from_bytes(hashlib.sha256(host.encode()).digest()[:4], "big")
    while True:
        low = number % (1 << 22)
        address = f"127.{64 + (low >> 16)}.{low >> 8 & 255}.{low & 255}"
        if address not in others:
            return address
        number += 1
