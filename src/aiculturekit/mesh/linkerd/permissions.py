"""Who may call: a Server for each service, which refuses everybody, and policies that allow by certificate. Pure.

Where a caller may do only some things, its operations become routes of the Server, and the policies stand at the routes: a request is
then judged by the one route that fits it best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from aiculturekit.mesh import manifests
from aiculturekit.mesh.branches import ALL
from aiculturekit.mesh.gateway_api import matches, precedence
from aiculturekit.mesh.gateway_api.routes import API
from aiculturekit.mesh.nodes import INGRESS, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Limit, Match, Pattern

GROUP = "policy.linkerd.io"
_PROTOCOLS = {"http": "HTTP/1", "http2": "HTTP/2", "tcp": "opaque"}
Operation = tuple[str, str]


def of_service(service: Service, *, place: Place) -> Iterator[Manifest]:
    yield _server(service, place)
    if service.operations:
        for at, (matched, callers) in enumerate(regions(service)):
            name = f"{service.name}-all" if matched == (ALL,) else f"{service.name}-operations-{at + 1}"
            yield _route(service, name, matched, place)
            yield from _allowed(service, name, callers, place, target=("gateway.networking.k8s.io", "HTTPRoute"))
    else:
        yield from _allowed(service, service.name, service.callers, place, target=(GROUP, "Server"))
    if service.traffic.limit:
        yield _limited(service, service.traffic.limit, place)


def _server(service: Service, place: Place) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": {"app": service.name}},
        "port": place.port_of(service.name),
        "proxyProtocol": _PROTOCOLS[service.protocol],
        "accessPolicy": "audit" if service.access.audit else "deny",
    }
    return _policy("Server", "v1beta3", service.name, service, place, spec)


def _policy(kind: str, version: str, name: str, service: Service, place: Place, spec: dict[str, Any]) -> Manifest:
    return manifests.made(f"{GROUP}/{version}", kind, name=name, app=service.app, place=place, spec=spec)


def regions(service: Service) -> list[tuple[tuple[Match, ...], tuple[str, ...]]]:
    """(requests, who may make them): the operations that some callers are limited to, together where the same callers may do them, and
    the rest last. Whoever may do more than an operation may do it too."""
    found: dict[tuple[str, ...], tuple[Match, ...]] = {}
    for one in _operations(service):
        callers = _callers(service, one)
        found[callers] = (*found.get(callers, ()), match_of(one))
    return [*((matched, callers) for callers, matched in found.items()), ((ALL,), _unlimited(service))]


def _operations(service: Service) -> list[Operation]:
    return sorted({one for operations in service.operations.values() for one in operations})


def _unlimited(service: Service) -> tuple[str, ...]:
    return tuple(caller for caller in service.callers if caller not in service.operations)


def _callers(service: Service, one: Operation) -> tuple[str, ...]:
    limited = [caller for caller, its in service.operations.items() if any(covers(other, one) for other in its)]
    return (*_unlimited(service), *limited)


def match_of(operation: Operation) -> Match:
    method, path = operation
    pattern = None
    if path.endswith("*"):  # a prefix of text, where a route's own prefix is one of whole segments
        pattern = Pattern(regex=f"{manifests.escaped(path[:-1])}.*") if path != "/*" else None
    elif path:
        pattern = Pattern(exact=path)
    return Match(path=pattern, method=method or None)


def covers(wide: Operation, narrow: Operation) -> bool:
    method, path = wide
    if method and method != narrow[0]:
        return False
    return not path or path == narrow[1] or (path.endswith("*") and narrow[1].startswith(path[:-1]))


def is_clear(service: Service) -> bool:
    """Whether each request surely meets the narrowest of the operations that fit it, or one of those that the same callers may do."""
    return all(
        _within(one, other) or _within(other, one)
        for one, other in combinations(_operations(service), 2)
        if precedence.overlap(match_of(one), match_of(other)) and _callers(service, one) != _callers(service, other)
    )


def _within(inner: Operation, outer: Operation) -> bool:
    """Linkerd compares the lengths of the paths that were matched, which are the same for an exact path and a regular expression; then
    whether there is a method."""
    if not covers(outer, inner):
        return False
    paths = match_of(inner).path, match_of(outer).path
    if paths[0] is not None and paths[1] is None:
        return inner[1] != "/"
    return (paths[0] is None) == (paths[1] is None) and bool(inner[0]) and not outer[0]


def _route(service: Service, name: str, matched: tuple[Match, ...], place: Place) -> Manifest:
    spec = {
        "parentRefs": [{"group": GROUP, "kind": "Server", "name": service.name}],
        "rules": [{"matches": [matches.compiled(match) for match in matched]}],
    }
    return manifests.made(API, "HTTPRoute", name=name, app=service.app, place=place, spec=spec)


def _allowed(
    service: Service, name: str, callers: tuple[str, ...], place: Place, *, target: tuple[str, str]
) -> Iterator[Manifest]:
    """One policy by certificate, and one by network for an ingress that has none: what is public is open to every address then."""
    group, kind = target
    reference = {"group": group, "kind": kind, "name": name}
    is_open = INGRESS in callers and not place.ingress
    if identities := [identity(caller, place) for caller in sorted(callers) if not (is_open and caller == INGRESS)]:
        yield _policy("MeshTLSAuthentication", "v1alpha1", name, service, place, {"identities": identities})
        yield _authorization(service, name, place, reference, "MeshTLSAuthentication")
    if is_open:
        networks = {"networks": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]}
        yield _policy("NetworkAuthentication", "v1alpha1", f"{name}-public", service, place, networks)
        yield _authorization(service, f"{name}-public", place, reference, "NetworkAuthentication")


def identity(caller: str, place: Place) -> str:
    namespace, _, account = place.ingress.partition("/") if caller == INGRESS else (place.namespace, "", caller)
    return f"{account}.{namespace}.serviceaccount.identity.linkerd.{place.trust_domain}"


def _authorization(service: Service, name: str, place: Place, target: Mapping[str, str], kind: str) -> Manifest:
    spec = {
        "targetRef": dict(target),
        "requiredAuthenticationRefs": [{"group": GROUP, "kind": kind, "name": name}],
    }
    return _policy("AuthorizationPolicy", "v1alpha1", name, service, place, spec)


def _limited(service: Service, limits: tuple[Limit, ...], place: Place) -> Manifest:
    """Each replica counts for itself; a caller is an identity."""
    words = {"all": "total", "caller": "identity"}
    rates = {words[limit.by]: {"requestsPerSecond": limit.requests} for limit in limits if limit.by in words}
    spec = {"targetRef": {"group": GROUP, "kind": "Server", "name": service.name}, **rates}
    return _policy("HTTPLocalRateLimitPolicy", "v1alpha1", service.name, service, place, spec)
