"""The API's endpoints as an OpenAPI 3.1 document, made when somebody asks for it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aiculturekit import __version__
from aiculturekit.endpoints import JSON, Endpoint, Parameter

Json = dict[str, Any]


def document(endpoints: Iterable[Endpoint]) -> Json:
    """Those with a summary: what has none is there for browsers and probes."""
    paths: defaultdict[str, Json] = defaultdict(dict)
    for endpoint in endpoints:
        if endpoint.summary:
            paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint)
    return {"openapi": "3.1.0", "info": {"title": "AICultureKit", "version": __version__}, "paths": dict(paths)}


def _operation(endpoint: Endpoint) -> Json:
    listed = [_parameter(each) for each in endpoint.parameters if each.place in ("path", "query")]
    operation: Json = {
        "summary": endpoint.summary,
        "operationId": _name(endpoint),
        "responses": {str(endpoint.status): {"description": "It went well.", "content": {JSON: {}}}},
    }
    if listed:
        operation["parameters"] = listed
    for body in (each for each in endpoint.parameters if each.place == "body"):
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body.adapter.json_schema()}}}
    return operation


def _parameter(parameter: Parameter) -> Json:
    schema = parameter.adapter.json_schema()
    if not parameter.is_required:
        schema["default"] = parameter.default
    return {"name": parameter.name, "in": parameter.place, "required": parameter.is_required, "schema": schema}


def _name(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path.removeprefix("/api/v1/"))
    return "_".join([endpoint.method.lower(), *words])
