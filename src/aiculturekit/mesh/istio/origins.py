"""CORS: which pages of other origins may call. Pure."""

from __future__ import annotations

import re

from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.rules import Cors

_LABEL = "[A-Za-z0-9-]+"


def policy(cors: Cors) -> Json:
    found: Json = {
        "allowOrigins": [_origin(origin) for origin in cors.origins],
        "allowMethods": list(cors.methods),
        "allowHeaders": list(cors.headers),
        "exposeHeaders": list(cors.expose),
        "maxAge": seconds(cors.max_age),
        "allowCredentials": cors.credentials,
        "unmatchedPreflights": "IGNORE",  # answered here, without the headers that would allow it
    }
    return {name: value for name, value in found.items() if value != []}


def _origin(origin: str) -> Json:
    if "*" not in origin or origin == "*":
        return {"exact": origin}
    return {"regex": _LABEL.join(re.escape(part) for part in origin.split("*"))}
