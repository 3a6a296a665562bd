"""`environments:` — a deep overlay of the file's own shape. Pure.

Mappings are merged, null removes a key, everything else (lists too) replaces. A place in the merged value is the overlay's own
line where the overlay says something, so that an error points at what has to be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiculturekit.spec.texts import Path, Place

Places = dict[Path, Place]


def merged(value: Mapping[str, Any], places: Places, *, environment: str) -> tuple[dict[str, Any], Places]:
    """The file's value and places as the environment sees them; without the environments themselves."""
    base = {key: item for key, item in value.items() if key != "environments"}
    kept = {path: place for path, place in places.items() if path[:1] != ("environments",)}
    environments = value.get("environments")
    overlay = environments.get(environment) if isinstance(environments, Mapping) else None
    if isinstance(overlay, Mapping):
        prefix = ("environments", environment)
        base = _laid_over(base, overlay)
        kept |= {path[2:]: place for path, place in places.items() if path[:2] == prefix and len(path) > 2}
    return base, kept


def _laid_over(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, item in overlay.items():
        if item is None:
            result.pop(key, None)
        elif isinstance(item, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _laid_over(result[key], item)
        else:
            result[key] = item
    return result
