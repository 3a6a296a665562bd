"""The JSON Schema (2020-12) of aic.yaml, for editors. Pure."""

from __future__ import annotations

from typing import Any

from aiculturekit.spec.models import NAME, SECTIONS, File

_SHORT: dict[str, tuple[str, ...]] = {
    "Health": ("string",), "Retries": ("integer",), "Mirror": ("string",), "Sticky": ("string",), "Redirect": ("string",),
    "Rewrite": ("string",), "Cors": ("string", "array"), "Check": ("string",),
}  # fmt: skip
"""Definitions for which a plain value, or a list, may stand."""
_LISTS = {
    "Service": ("public",), "Function": ("on",), "Traffic": ("limit",), "Route": ("limit",), "Edits": ("remove",),
    "Cors": ("origins", "methods", "headers", "expose"), "Jwt": ("audience", "open"), "Check": ("headers",),
    "Access": ("jwt",),
}  # fmt: skip
"""Definition -> its lists for which a single value may stand."""


def json_schema() -> dict[str, Any]:
    """Everything that the file may say, short forms included; sections may be empty, and environments have the file's own shape."""
    schema = File.model_json_schema(by_alias=True, mode="validation")
    definitions = schema["$defs"]
    for name, keys in _LISTS.items():
        for key in keys:
            _allow_single(definitions[name]["properties"][key])
    for name, kinds in _SHORT.items():
        definitions[name] = {"anyOf": [definitions[name], *({"type": kind} for kind in kinds)]}
    for section in SECTIONS:
        found = schema["properties"][section]
        found["type"] = ["object", "null"]
        found["propertyNames"] = {"pattern": f"^{NAME}$"}
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
