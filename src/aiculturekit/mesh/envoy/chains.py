"""The HTTP filters that some rule may need. They stand in every listener from the start, switched off, and a route's own settings
switch one on: so no rule changes a listener, which would drain its connections. One that is off costs nothing on a request's way.
Pure."""

from __future__ import annotations

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json

_HTTP = "extensions.filters.http"
CORS, FAULT = "envoy.filters.http.cors", "envoy.filters.http.fault"
LIMIT, BODY = "envoy.filters.http.local_ratelimit", "envoy.filters.http.buffer"
COMPRESS, SESSION = "envoy.filters.http.compressor", "envoy.filters.http.stateful_session"
_SMALL = 256
"""Bytes below which compressing makes an answer longer rather than shorter."""

NO_FAULT = documents.typed(f"{_HTTP}.fault.v3.HTTPFault")
"""For a route that may give way to one with a fault."""


def calling() -> list[Json]:
    """At the ingress and at a caller's own doors: what a browser asks before it asks, then failures made on purpose."""
    return [*preflight(), *failures()]


def preflight() -> list[Json]:
    """Before anything that wants credentials: a preflight request has none."""
    return [_off(CORS, f"{_HTTP}.cors.v3.Cors")]


def failures() -> list[Json]:
    return [_off(FAULT, f"{_HTTP}.fault.v3.HTTPFault")]


def called() -> list[Json]:
    """At the service's side, after the guard: what is refused counts in no limit."""
    return [
        _off(LIMIT, f"{_HTTP}.local_ratelimit.v3.LocalRateLimit", stat_prefix="limit"),
        _off(BODY, f"{_HTTP}.buffer.v3.Buffer", max_request_bytes=1),
        _off(COMPRESS, f"{_HTTP}.compressor.v3.Compressor", **_compressor()),
        _off(SESSION, f"{_HTTP}.stateful_session.v3.StatefulSession"),
    ]


def _off(name: str, message: str, /, **fields: object) -> Json:
    return {"name": name, "typed_config": documents.typed(message, **fields), "disabled": True}


def _compressor() -> Json:
    """Of Envoy's own list of types: texts, JSON, scripts, SVG; not text/event-stream, whose events must not wait for each other."""
    library = documents.extension("compression.gzip.compressor", "extensions.compression.gzip.compressor.v3.Gzip")
    common = {"min_content_length": _SMALL}
    return {"response_direction_config": {"common_config": common}, "compressor_library": library}
