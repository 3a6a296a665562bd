"""Which pages of other origins may call (CORS, the Fetch standard), in Envoy's words. Pure."""

from __future__ import annotations

import re

from aiculturekit.mesh.envoy import chains, documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.rules import Cors

_LABEL = "[A-Za-z0-9-]+"


def compiled(cors: Cors | None) -> Json:
    """The settings of a route by filter. A preflight from elsewhere is answered here too, without the headers that would allow it."""
    if cors is None:
        return {}
    listed = {
        "allow_methods": ", ".join(cors.methods),
        "allow_headers": ", ".join(cors.headers),
        "expose_headers": ", ".join(cors.expose),
    }
    policy = documents.typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[_origin(origin) for origin in cors.origins],
        **{name: value for name, value in listed.items() if value},
        max_age=str(round(cors.max_age)),
        allow_credentials=cors.credentials,
        forward_not_matching_preflights=False,
    )
    return {chains.CORS: policy}


def _origin(origin: str) -> Json:
    if origin == "*" or "*" not in origin:
        return {"exact": origin}
    return {"safe_regex": {"regex": _LABEL.join(re.escape(part) for part in origin.split("*"))}}
