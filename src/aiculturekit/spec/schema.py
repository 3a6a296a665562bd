"""The JSON Schema (2020-12) of aic.yaml, for editors. Pure."""

from __future__ import annotations

from typing import Any

from aiculturekit.spec.models import NAME, SECTIONS, File

_SHORT = {"Health": "string", "Retries": "integer"}
"""Definitions for which a plain value may stand."""


def json_schema() -> dict[str, Any]:
    """Everything that the file may say, short forms included; sections may be empty, and environments have the file's own shape."""
    schema = File.model_json_schema(by_alias=True, mode="validation")
    definitions = schema["$defs"]
    for name, kind in _SHORT.items():
        definitions[name] = {"anyOf": [definitions[name], {"type": kind}]}
    for section in SECTIONS:
        found = schema["properties"][section]
        found["type"] = ["object", "null"]
        found["propertyNames"] = {"pattern": f"^{NAME}$"}
    _allow_single(definitions["Service"]["properties"]["public"])
    _allow_single(definitions["Function"]["properties"]["on"])
    overlay = {
        "type": ["object", "null"],
        "properties": {k: {} for k in schema["properties"] if k != "environments"},
        "additionalProperties": False,
    }
    schema["properties"]["environments"] = {"type": ["object", "null"], "additionalProperties": overlay}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "aic.yaml", **schema}


def _allow_single(found: dict[str, Any]) -> None:
    items = found["items"]
    found["type"] = sorted(
        {"array", *(items.get("type") if isinstance(items.get("type"), list) else [items.get("type", "object")])}
    )
