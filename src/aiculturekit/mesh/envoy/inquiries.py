"""The external check of requests from outside (ext_authz over HTTP). Pure.

The filters stand in the ingress, off; a route turns one on and says whom it asks, so that a check changes without touching the listener.
There are two, since what happens when nobody answers is a filter's own matter.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiculturekit.mesh.envoy import documents, names, outside
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import INGRESS, Service
from aiculturekit.mesh.rules import Check

_TYPE = "extensions.filters.http.ext_authz.v3"

NOBODY = "-"
"""A cluster that there is not."""


def filters() -> list[Json]:
    return [_cleaner(), *(_filter(fails) for fails in ("closed", "open"))]


def _filter(fails: str) -> Json:
    """It is asked with the request's method, path and headers, never with its body. Without an address of its own, which no route leaves
    in force, Envoy 1.40 ends at the first request (measured)."""
    found = documents.extension(
        "filters.http.ext_authz",
        f"{_TYPE}.ExtAuthz",
        http_service={"server_uri": {"uri": "http://nobody", "cluster": NOBODY, "timeout": "1s"}},
        failure_mode_allow=fails == "open",
        status_on_error={"code": "ServiceUnavailable"},
        allowed_headers={"patterns": [{"safe_regex": {"regex": ".*"}}]},
    )
    return found | {"name": _name(fails), "disabled": True}


def _cleaner() -> Json:
    found = documents.extension(
        "filters.http.header_mutation", "extensions.filters.http.header_mutation.v3.HeaderMutation"
    )
    return found | {"name": names.CLEAN, "disabled": True}


def _name(fails: str) -> str:
    return f"{names.CHECK}-{fails}"


def per_route(service: Service, check: Check) -> dict[str, Json]:
    """What the client itself says in a header that only the check may set is removed."""
    server = {
        "uri": outside.origin(check.url),
        "cluster": _cluster(service, check),
        "timeout": documents.seconds(check.timeout),
    }
    asked: Json = {"server_uri": server, "path_prefix": urlsplit(check.url).path.rstrip("/")}
    if check.headers:
        patterns = [_exactly(name) for name in check.headers]
        asked["authorization_response"] = {"allowed_upstream_headers": {"patterns": patterns}}
    message = f"{_TYPE}.ExtAuthzPerRoute"
    return _cleaned(check) | {
        _name(check.fails): documents.typed(message, check_settings={"http_service": asked}),
    }


def _cleaned(check: Check) -> dict[str, Json]:
    if not check.headers:
        return {}
    message = "extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute"
    removed = [{"remove": name.lower()} for name in check.headers]
    return {names.CLEAN: documents.typed(message, mutations={"request_mutations": removed})}


def _exactly(name: str) -> Json:
    return {"exact": name.lower(), "ignore_case": True}


def _cluster(service: Service, check: Check) -> str:
    if check.service:
        return names.outbound(service.app, INGRESS, check.service, "*")
    return outside.cluster(check.url)
