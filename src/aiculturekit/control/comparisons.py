"""What differs between two environments: in the file, and in what runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.control import masks
from aiculturekit.plan.documents import DRIFT, Document

Json = dict[str, Any]
_MACHINES_OWN = ("directory", "source", "declared", DRIFT)
"""What a document has for one machine alone, or about its own past."""


def of_files(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Json]:
    """Every key path at which the two say something else: {path, a, b}; None where one says nothing."""
    return _different(_flat(one), _flat(other))


def of_documents(one: Iterable[Document], other: Iterable[Document]) -> list[Json]:
    """The same of the documents in force: {kind, name, path, a, b}."""
    mine, theirs = _bodies(one), _bodies(other)
    return [
        {"kind": kind, "name": name, **row}
        for kind, name in sorted(mine.keys() | theirs.keys())
        for row in _of_one(mine.get((kind, name)), theirs.get((kind, name)))
    ]


def of_workloads(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[Json]:
    """A row for each workload version that either has: {name, version, a, b}, both as they run or None."""
    mine, theirs = ({(row["name"], row["version"]): row for row in rows} for rows in (one, other))
    return [
        {"name": name, "version": version, "a": mine.get((name, version)), "b": theirs.get((name, version))}
        for name, version in sorted(mine.keys() | theirs.keys())
    ]


def _of_one(mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> list[Json]:
    if mine is None or theirs is None:
        return [{"path": "", "a": mine is not None, "b": theirs is not None}]
    return _different(_flat(mine), _flat(theirs))


def _bodies(documents: Iterable[Document]) -> dict[tuple[str, str], Json]:
    return {one.key: {key: value for key, value in one.body.items() if key not in _MACHINES_OWN} for one in documents}


def _different(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Json]:
    return [
        {"path": path, "a": _shown(path, mine.get(path)), "b": _shown(path, theirs.get(path))}
        for path in sorted(mine.keys() | theirs.keys())
        if mine.get(path) != theirs.get(path)
    ]


def _shown(path: str, value: Any) -> Any:
    return masks.mask(path.rpartition(".")[2], value)[0] if isinstance(value, str) else value


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    return dict(_leaves(value, path)) if value else {}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Lists are one value: what is at a place in them means nothing by itself."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
