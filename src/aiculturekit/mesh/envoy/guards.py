"""What stands between the ingress and a service for requests from outside: tokens, claims, the external check. Pure.

Order: the token first, since the check may read its payload; then the claims; then the check. All of them are off in the listener and
turned on by the routes.
"""

from __future__ import annotations

from pathlib import Path

from aiculturekit.language import say
from aiculturekit.mesh.envoy import chains, edits, inquiries, names, permissions, refusals, tokens
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service

_WHO = "aic"
_BY_FILTER = "typed_per_filter_config"
_SERVICE = f"%METADATA(ROUTE:{_WHO}:app)%/%METADATA(ROUTE:{_WHO}:service)%"
_WORDS = "%LOCAL_REPLY_BODY%"
_REFUSED = " || ".join(
    f"response.code_details.startsWith('{start}')"
    for start in ("jwt_authn_access_denied", "rbac_access_denied", "ext_authz")
)


def filters(folder: Path) -> list[Json]:
    return [tokens.filter(folder), tokens.claims_guard(), *inquiries.filters()]


def settings(service: Service, *, is_open: bool) -> Json:
    """A route's part: what its requests must pass, and the service's name for the log."""
    access = service.access
    found: dict[str, Json] = {}
    if access.jwt:
        found[names.TOKENS] = tokens.per_route(service, is_open=is_open)
        if any(jwt.claims for jwt in access.jwt) and not is_open:
            found[names.CLAIMS] = tokens.claims_per_route(service)
    if access.check:
        found |= inquiries.per_route(service, access.check)
    if not found:
        return {}
    who = {"filter_metadata": {_WHO: {"app": service.app, "service": service.name}}}
    return {_BY_FILTER: found, "metadata": who}


def open_paths(service: Service, prefix: str) -> list[str]:
    """The prefixes within a public path that need no token; the longest first."""
    found = {_within(prefix, one) for jwt in service.access.jwt for one in jwt.open}
    return sorted((one for one in found if one), key=lambda one: (-len(one), one))


def _within(outer: str, inner: str) -> str:
    """The narrower of two prefixes; "" where neither lies in the other."""
    brief, long = sorted((outer.rstrip("/"), inner.rstrip("/")), key=len)
    return (long or "/") if f"{long}/".startswith(f"{brief}/") else ""


def plainly(route: Json) -> Json:
    """Only paths without a separator in disguise, which a service may decode and so find itself where a token was needed."""
    hidden = {
        "name": ":path",
        "string_match": {"safe_regex": {"regex": f"[^?]*{permissions.HIDDEN}.*"}},
        "invert_match": True,
    }
    return route | {"match": edits.joined(route["match"], {"headers": [hidden]})}


def put(routes: list[Json], service: Service, *, is_open: bool) -> list[Json]:
    """The routes of a public path with their guards. Which filters a request passes is settled by the route that is found first; once
    its token is read another one may fit, so that all of them must have the same filters."""
    found = [edits.joined(route, settings(service, is_open=is_open)) for route in routes]
    if any(chains.FAULT in route.get(_BY_FILTER, {}) for route in found):
        return [edits.joined({_BY_FILTER: {chains.FAULT: chains.NO_FAULT}}, route) for route in found]
    return found


def log(folder: Path) -> Json:
    """Whatever is refused here; the service's own answers cost one comparison."""
    condition = {"and_filter": {"filters": [refusals.status(300, op="GE"), refusals.expression(_REFUSED)]}}
    return refusals.log(
        folder,
        condition,
        app=f"%METADATA(ROUTE:{_WHO}:app)%",
        target=f"%METADATA(ROUTE:{_WHO}:service)%",
        method="%REQ(:METHOD):16%",
        path="%PATH(NQ):256%",
        code="%RESPONSE_CODE_DETAILS%",
    )


def replies() -> list[Json]:
    """What a refused client reads; the external check's answer goes out as it is."""
    no_keys = say("The keys for tokens of {service} could not be fetched; try again later.\n", service=_SERVICE)
    no_token = say("{service} asks for a valid token: {reason}.\n", service=_SERVICE, reason=_WORDS)
    no_claims = say("{service} asks for a token with other claims than this one has.\n", service=_SERVICE)
    no_check = say("The check of {service} did not answer; try again later.\n", service=_SERVICE)
    return [
        refusals.mapper(_because("jwt_authn_access_denied{Jwks_remote_fetch"), no_keys, status_code=503),
        refusals.mapper(_because("jwt_authn_access_denied"), no_token),
        refusals.mapper(_because("rbac_access_denied"), no_claims),
        refusals.mapper(_because("ext_authz_error"), no_check),
    ]


def _because(start: str) -> Json:
    return refusals.expression(f"response.code_details.startsWith('{start}')")
