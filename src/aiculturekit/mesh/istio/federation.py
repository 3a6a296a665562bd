"""Calls to and from the meshes of other trust domains. Pure.

A way out dials the neighbour's gateway with the workload's own certificate, greets it with SERVICE.APP.DOMAIN, and speaks with nobody but
the very service. A way in leads a greeting for SERVICE.NAMESPACE.DOMAIN on to the service's own side unopened: it is its certificate that
answers, and its AuthorizationPolicy that knows who calls. The neighbour's roots stand in the mesh's own configuration, of their trust
domain; never as an alias, which would let its workloads be taken for ours of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.language import say
from aiculturekit.mesh import identities
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.envoy.egresses import is_number
from aiculturekit.mesh.envoy.federation import TIMEOUT, server_name
from aiculturekit.mesh.istio import names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Caller, Neighbour, Node, Remote, Service
from aiculturekit.mesh.rendering import Gap, Manifest, Place
from aiculturekit.mesh.rules import UNSENT, Balance, Headers

GATEWAY, PORT = "foreign", 15443
"""Istio's own number for calls from other clusters."""


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for remote, neighbour in sorted(_ways(node).items(), key=lambda way: _name(way[0])):
        yield from _outwards(remote, neighbour, place)
    entered = [service for service in node.services if foreigners(service, node)]
    if entered:
        greeted = [_greeting(service, place) for service in entered]
        port = {"number": PORT, "name": "tls", "protocol": "TLS"}
        server = {"port": port, "tls": {"mode": "PASSTHROUGH"}, "hosts": greeted}
        yield names.networking("Gateway", GATEWAY, place, selector=dict(place.gateway_labels), servers=[server])
    for service in entered:
        yield _inwards(service, place)


def hosts(node: Node, caller: Caller) -> list[str]:
    """The names of the foreign services that the caller needs, as its Sidecar shows them."""
    return sorted(f"./{_name(remote)}" for remote in caller.remotes if remote in _ways(node))


def subsets(service: Service, node: Node) -> list[Json]:
    """A version's replicas for a connection that is passed on as it comes."""
    if not foreigners(service, node):
        return []
    unopened = {"tls": {"mode": "DISABLE"}}
    return [
        {"name": _unopened(version.name), "labels": {"version": version.name}, "trafficPolicy": unopened}
        for version in service.versions
    ]


def foreigners(service: Service, node: Node) -> list[str]:
    """The SPIFFE IDs that may call from neighbours, as Istio writes them: without the scheme."""
    known = {neighbour.domain for neighbour in node.neighbours}
    listed = service.access.foreign if service.protocol != "tcp" else ()
    return sorted(one.removeprefix("spiffe://") for one in listed if identities.domain(one) in known)


def roots(node: Node) -> list[Json]:
    """The neighbours' roots, as MeshConfig's caCertificates: those of the domains that anybody here calls or is called by."""
    called = {remote.domain for remote in _ways(node)}
    calling = {one.partition("/")[0] for service in node.services for one in foreigners(service, node)}
    return [
        {("spiffeBundleUrl" if "://" in one.roots else "pem"): one.roots, "trustDomains": [one.domain]}
        for one in sorted(node.neighbours, key=lambda one: one.domain)
        if one.domain in called | calling
    ]


def _ways(node: Node) -> dict[Remote, Neighbour]:
    known = {neighbour.domain: neighbour for neighbour in node.neighbours if neighbour.host}
    return {
        remote: known[remote.domain] for caller in node.callers for remote in caller.remotes if remote.domain in known
    }


def _name(remote: Remote) -> str:
    return server_name(remote.app, remote.service, remote.domain)


def _outwards(remote: Remote, neighbour: Neighbour, place: Place) -> Iterator[Manifest]:
    host, peer = _name(remote), identities.uri((remote.app, remote.service), trust_domain=remote.domain)
    common: Json = {"exportTo": ["."]}
    yield names.networking(
        "ServiceEntry",
        host,
        place,
        hosts=[host],
        **common,
        location="MESH_EXTERNAL",
        ports=[{"number": place.port, "name": "http", "protocol": "HTTP"}],
        resolution="STATIC" if is_number(neighbour.host) else "DNS",
        endpoints=[{"address": neighbour.host, "ports": {"http": neighbour.port}}],
    )
    tls = {"mode": "ISTIO_MUTUAL", "sni": host, "subjectAltNames": [peer]}
    yield names.networking("DestinationRule", host, place, host=host, **common, trafficPolicy={"tls": tls})
    route: Json = {
        "route": [{"destination": {"host": host, "port": {"number": place.port}}}],
        "timeout": seconds(TIMEOUT),
        "retries": {"attempts": 1, "retryOn": UNSENT},
    }
    yield names.networking("VirtualService", host, place, hosts=[host], **common, http=[route])


def _greeting(service: Service, place: Place) -> str:
    return server_name(place.namespace, service.name, place.trust_domain)


def _unopened(version: str) -> str:
    return f"{version}-unopened"


def _inwards(service: Service, place: Place) -> Manifest:
    """By the weights, for a connection instead of a request."""
    shares = [version for version in service.versions if version.weight > 0]
    route = [
        {
            "destination": {
                "host": names.host(service.name, place),
                "subset": _unopened(version.name),
                "port": {"number": place.port_of(service.name)},
            }
        }
        | ({"weight": max(1, round(version.weight))} if len(shares) > 1 else {})
        for version in shares
    ]
    greeted = _greeting(service, place)
    tls = [{"match": [{"port": PORT, "sniHosts": [greeted]}], "route": route}]
    name = f"{service.name}-foreign"
    return names.networking("VirtualService", name, place, hosts=[greeted], gateways=[GATEWAY], tls=tls)


def gaps(node: Node) -> Iterator[Gap]:
    known = {neighbour.domain: neighbour for neighbour in node.neighbours}
    for caller in node.callers:
        for remote in caller.remotes:
            one = known.get(remote.domain)
            if one is None or not (one.host and one.roots):
                yield Gap(caller.app, caller.name, "needs", _unknown(remote.domain))
    for service in node.services:
        if reason := _unsaid(service, known):
            yield Gap(service.app, service.name, "access.foreign", reason)


def _unknown(domain: str) -> str:
    return say("nothing is known of {domain}; say --neighbour {domain}=HOST:PORT --roots {domain}=FILE", domain=domain)


def _unsaid(service: Service, known: dict[str, Neighbour]) -> str | None:
    if not service.access.foreign:
        return None
    domains = sorted({identities.domain(one) or one for one in service.access.foreign})
    strange = [domain for domain in domains if domain not in known or not known[domain].roots]
    if strange:
        return _unknown(strange[0])
    if service.protocol == "tcp":
        return say("only services that speak HTTP are open to other trust domains")
    if rules := _of_requests(service):
        return say(
            "Istio passes their connections on unopened, so that what reads requests would not hold for them: {rules}",
            rules=", ".join(rules),
        )
    return None


def _of_requests(service: Service) -> list[str]:
    traffic = service.traffic
    stated = {
        "traffic.routes": traffic.routes,
        "traffic.limit": traffic.limit,
        "traffic.sticky": traffic.sticky,
        "traffic.balance": traffic.balance.policy == Balance("hash").policy,
        "traffic.mirror": traffic.mirror,
        "traffic.fault": traffic.fault,
        "traffic.headers": traffic.headers != Headers(),
        "traffic.cors": traffic.cors,
    }
    matched = [f"versions.{version.name}.match" for version in service.versions if version.match]
    return [key for key, value in stated.items() if value] + matched
