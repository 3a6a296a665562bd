"""Where several versions of one object differ, as paths to the smallest parts that do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Path = tuple[str | int, ...]
MISSING = object()


def paths(versions: Sequence[Any]) -> list[Path]:
    """The paths below which not all versions are equal: into mappings, and into lists of one length; a key that some do not have counts as
    different."""
    first = versions[0]
    if all(version == first for version in versions):
        return []
    if all(isinstance(version, Mapping) for version in versions):
        keys = list(dict.fromkeys(key for version in versions for key in version))
        return [(key, *rest) for key in keys for rest in paths([version.get(key, MISSING) for version in versions])]
    if all(isinstance(version, list) and len(version) == len(first) for version in versions):
        return [(at, *rest) for at in range(len(first)) for rest in paths([version[at] for version in versions])]
    return [()]


def at(value: Any, path: Path) -> Any:
    """What stands there; MISSING where nothing does."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return MISSING
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy with `new` in that place."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [replaced(one, rest, new) if index == step else one for index, one in enumerate(value)]
    return {**value, step: replaced(value.get(step, {}), rest, new)}
