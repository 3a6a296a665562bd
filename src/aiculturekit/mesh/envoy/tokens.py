"""Tokens of requests from outside (jwt_authn): whose are accepted, and what must stand in them. Pure.

The kinds of token are one document that the ingress' filter reads from a file (ECDS), so that none of them touches the listener; a route
says by name which of them it asks for. A name holds a digest of what it means: while a change is under way both meanings stand side by
side, and a request is judged by one of them, never by a mixture.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aiculturekit.mesh import claims
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy import documents, names, outside
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rules import Access, Jwt

_TYPE = "extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_FILTER = "envoy.filters.http.jwt_authn"
_PAYLOAD = "payload"
SKEW = 10
"""Seconds that clocks may differ."""
_CACHED = 1000
"""Tokens whose signature need not be verified again, in each thread. Not for keys from an address: one that was taken back there must
not live on in a cache."""
_FRESH, _RETRY, _WAIT = 300.0, 5.0, 3.0
"""Seconds: how old fetched keys may be, until a failed fetch is tried again, and how long one fetch may take."""


def filter(folder: Path) -> Json:
    """Off unless a route turns it on."""
    return {
        "name": names.TOKENS,
        "disabled": True,
        "config_discovery": {
            "config_source": documents.source(folder, names.TOKENS_FILE),
            "type_urls": [documents.typed(_TYPE)["@type"]],
        },
    }


def compiled(node: Node) -> Json:
    """The document with all kinds of token that the node accepts."""
    providers: dict[str, Json] = {}
    requirements: dict[str, Json] = {}
    for service in node.services:
        if service.access.jwt:
            words = _words(service)
            own = {
                _name(service, str(at), (jwt, words)): _provider(jwt, words=words)
                for at, jwt in enumerate(service.access.jwt)
            }
            providers |= own
            for is_open in (False, True):
                requirements[requirement(service, is_open=is_open)] = _requirement(
                    list(own), is_optional=is_open or is_optional(service.access)
                )
    return _document(providers, requirements)


def with_leaving(old: Json | None, new: Json) -> Json:
    """All new kinds of token, and those old ones that a route in force may still name."""
    if not old:
        return new
    before, after = (document["resources"][0]["typed_config"] for document in (old, new))
    return _document(*({**before[key], **after[key]} for key in ("providers", "requirement_map")))


def _document(providers: Json, requirements: Json) -> Json:
    config = documents.typed(_TYPE, providers=providers, requirement_map=requirements)
    resource = documents.typed("config.core.v3.TypedExtensionConfig", name=names.TOKENS, typed_config=config)
    return documents.bundle([resource])


def is_optional(access: Access) -> bool:
    return any(jwt.optional for jwt in access.jwt)


def requirement(service: Service, *, is_open: bool) -> str:
    """The name under which a route asks for the service's tokens; where it is `is_open`, one that is sent must still be good."""
    return _name(service, "open" if is_open else "all", (service.access.jwt, _words(service)))


def per_route(service: Service, *, is_open: bool) -> Json:
    message = "extensions.filters.http.jwt_authn.v3.PerRouteConfig"
    return documents.typed(message, requirement_name=requirement(service, is_open=is_open))


def _name(service: Service, what: str, meaning: object) -> str:
    digest = hashlib.sha256(json.dumps(repr(meaning)).encode()).hexdigest()[:12]
    return f"{service.app}/{service.name}/{what}/{digest}"


def _requirement(providers: list[str], *, is_optional: bool) -> Json:
    listed: list[Json] = [{"provider_name": name} for name in providers]
    listed += [{"allow_missing": {}}] if is_optional else []
    return listed[0] if len(listed) == 1 else {"requires_any": {"requirements": listed}}


def _words(service: Service) -> list[str]:
    """Claims of several words in one text that somebody compares: taking them apart is a copy of the whole payload for each request."""
    compared = {claim for jwt in service.access.jwt for claim in jwt.claims}
    compared |= {claim for branch in branches(service) for claim in branch.match.claim}
    return sorted(compared.intersection(claims.WORDS))


def _provider(jwt: Jwt, *, words: list[str]) -> Json:
    """The token goes on to the service as it came, beside its payload. With that the route is looked for again: it may ask for claims."""
    common: Json = {
        "issuer": jwt.issuer,
        "audiences": list(jwt.audience),
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "forward_payload_header": names.PAYLOAD,
        "payload_in_metadata": _PAYLOAD,
        **({"normalize_payload_in_metadata": {"space_delimited_claims": words}} if words else {}),
        "clear_route_cache": True,
        "clock_skew_seconds": SKEW,
    }
    if outside.is_address(jwt.jwks):
        return common | {"remote_jwks": _remote(jwt.jwks)}
    return common | {"local_jwks": {"inline_string": jwt.jwks}, "jwt_cache_config": {"jwt_cache_size": _CACHED}}


def _remote(url: str) -> Json:
    """Fetched beforehand and in the background; keys that were fetched serve on while their address does not answer."""
    return {
        "http_uri": {"uri": url, "cluster": outside.cluster(url), "timeout": documents.seconds(_WAIT)},
        "cache_duration": documents.seconds(_FRESH),
        "async_fetch": {"fast_listener": True, "failed_refetch_duration": documents.seconds(_RETRY)},
    }


def match(claim: str, value: str) -> Json:
    """A matcher for the metadata of a request whose token was validated."""
    path = [{"key": key} for key in (_PAYLOAD, *claims.parts(claim))]
    return {"filter": _FILTER, "path": path, "value": _any_of([_value(one) for one in claims.readings(value)])}


def _value(value: str | float | bool) -> Json:
    if isinstance(value, bool):
        return {"bool_match": value}
    return {"double_match": {"exact": value}} if isinstance(value, float) else {"string_match": {"exact": value}}


def _any_of(plain: list[Json]) -> Json:
    listed = [*plain, *({"list_match": {"one_of": one}} for one in plain)]
    return {"or_match": {"value_matchers": listed}}


def claims_guard() -> Json:
    """Off unless a route turns it on."""
    rules = {"action": "ALLOW", "policies": {}}
    guard = documents.extension("filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC", rules=rules)
    return guard | {"name": names.CLAIMS, "disabled": True}


def claims_per_route(service: Service) -> Json:
    """One of the kinds of token with all its claims; where there are several, said again with issuer and audience, so that a token that
    passed as one kind is not measured by the claims of another."""
    is_told = len(service.access.jwt) > 1
    kinds = [
        {"and_rules": {"rules": [_holds(matcher) for matcher in (_asked(jwt) if is_told else _claimed(jwt))]}}
        for jwt in service.access.jwt
    ]
    if is_optional(service.access):
        present = {"filter": _FILTER, "path": [{"key": _PAYLOAD}, {"key": "iss"}], "value": {"present_match": True}}
        kinds.append({"not_rule": _holds(present)})
    policy = {"permissions": kinds, "principals": [{"any": True}]}
    rules = {"action": "ALLOW", "policies": {"claims": policy}}
    return documents.typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})


def _asked(jwt: Jwt) -> list[Json]:
    audience = [match("aud", one)["value"]["or_match"]["value_matchers"] for one in jwt.audience]
    found = [match("iss", jwt.issuer) | {"path": [{"key": _PAYLOAD}, {"key": "iss"}]}]
    if audience:
        found.append(
            match("aud", "") | {"value": {"or_match": {"value_matchers": [m for one in audience for m in one]}}}
        )
    return [*found, *_claimed(jwt)]


def _claimed(jwt: Jwt) -> list[Json]:
    return [match(claim, value) for claim, value in sorted(jwt.claims.items())]


def _holds(matcher: Json) -> Json:
    return {"sourced_metadata": {"metadata_matcher": matcher}}
