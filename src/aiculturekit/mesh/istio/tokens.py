"""Tokens of requests from outside, at the ingress gateway: RequestAuthentication says whose are believed, an AuthorizationPolicy refuses
what carries none of the wanted kinds. Pure.

A token that is sent is validated on every path of the gateway; what is asked of it, on the service's own public paths. Where Envoy's own
filter answers 401 for a missing token, Istio's policy answers 403.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh import claims
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.istio import names
from aiculturekit.mesh.nodes import Entry, Node, Service
from aiculturekit.mesh.rendering import Gap, Manifest, Place
from aiculturekit.mesh.rules import Jwt

Json = dict[str, Any]
PAYLOAD = "x-jwt-payload"
_SENT: Json = {"key": "request.auth.claims[iss]", "values": ["*"]}
_ASKS = "access-control-request-method"
"""The header by which a browser asks whether it may ask: such a request has no token, and is answered at the gateway."""


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        entries = [entry for entry in node.entries if entry.service == service.name]
        if service.access.jwt and entries:
            yield _object("RequestAuthentication", service, place, jwtRules=[_rule(jwt) for jwt in service.access.jwt])
            rules = [
                {"to": where(node, service, entries, place, more, spared=_open(service)), "when": when}
                for when, more in _refused(service)
            ]
            yield _object("AuthorizationPolicy", service, place, action="DENY", rules=rules)


def _object(kind: str, service: Service, place: Place, /, **spec: Any) -> Manifest:
    found = names.security(kind, f"{place.namespace}-{service.name}-tokens", place, selector=_gateway(place), **spec)
    return names.at_gateway(found, place)


def _gateway(place: Place) -> Json:
    return {"matchLabels": dict(place.gateway_labels)}


def _rule(jwt: Jwt) -> Json:
    keys = {"jwksUri": jwt.jwks} if jwt.jwks.startswith(("https://", "http://")) else {"jwks": jwt.jwks}
    return {
        "issuer": jwt.issuer,
        **({"audiences": list(jwt.audience)} if jwt.audience else {}),
        **keys,
        "fromHeaders": [{"name": "authorization", "prefix": "Bearer "}],
        "forwardOriginalToken": True,
        "outputPayloadToHeader": PAYLOAD,
    }


def _refused(service: Service) -> Iterator[tuple[list[Json], Json]]:
    """Conditions, and further words about the operation: what fails in each kind of token at once is refused."""
    is_optional = any(jwt.optional for jwt in service.access.jwt)
    for failing in product(*(list(_failing(jwt)) for jwt in service.access.jwt)):
        yield from without_preflights(service, [*failing, *([_SENT] if is_optional else [])])


def without_preflights(service: Service, when: list[Json]) -> Iterator[tuple[list[Json], Json]]:
    """The same conditions, for all requests but those by which a browser asks whether it may ask: where CORS answers them."""
    if service.traffic.cors is None:
        yield when, {}
    else:
        yield when, {"notMethods": ["OPTIONS"]}
        yield [*when, {"key": f"request.headers[{_ASKS}]", "notValues": ["*"]}], {"methods": ["OPTIONS"]}


def _failing(jwt: Jwt) -> Iterator[Json]:
    """Each way in which a request is not of this kind."""
    yield {"key": claim("iss"), "notValues": [jwt.issuer]}
    if jwt.audience:
        yield {"key": claim("aud"), "notValues": list(jwt.audience)}
    for name, value in sorted(jwt.claims.items()):
        yield {"key": claim(name), "notValues": [value]}


def claim(name: str) -> str:
    return "request.auth.claims" + "".join(f"[{part}]" for part in claims.parts(name))


def where(
    node: Node, service: Service, entries: list[Entry], place: Place, more: Json, *, spared: Sequence[str]
) -> list[Json]:
    """The service's public paths without the `spared` ones, and without those below them that are another service's."""
    hosts = {} if "*" in place.hosts else {"hosts": [form for host in place.hosts for form in (host, f"{host}:*")]}
    found = []
    for entry in entries:
        others = [
            one.prefix for one in node.entries if one.service != service.name and _is_within(one.prefix, entry.prefix)
        ]
        left_out = [form for prefix in (*spared, *others) for form in _forms(prefix)]
        paths = {"paths": _forms(entry.prefix)} | ({"notPaths": left_out} if left_out else {})
        found.append({"operation": hosts | paths | more})
    return found


def _open(service: Service) -> list[str]:
    return sorted({prefix for jwt in service.access.jwt for prefix in jwt.open})


def _is_within(inner: str, outer: str) -> bool:
    return inner != outer and f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")


def _forms(prefix: str) -> list[str]:
    """Whole segments, as Istio writes them."""
    trimmed = prefix.rstrip("/")
    return [trimmed, f"{trimmed}/*"] if trimmed else ["/*"]


def gaps(service: Service) -> Iterator[Gap]:
    """What Istio's resources cannot say of `access`."""
    asked = [("access.jwt", value) for jwt in service.access.jwt for value in jwt.claims.values()]
    asked += [("match.claim", value) for branch in branches(service) for value in branch.match.claim.values()]
    for key, value in asked:
        if len(claims.readings(value)) > 1:
            reason = say("Istio compares claims as texts only, and {value} may be a number or a boolean", value=value)
            yield Gap(service.app, service.name, key, reason)
            return
