"""Changes to headers, in Envoy's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.rules import Edits, Headers

_SET, _ADD = "OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD"


def compiled(headers: Iterable[Headers]) -> Json:
    """The fields of a route for edits that are made one after the other; without those that would be empty."""
    listed = list(headers)
    return _side("request", [one.request for one in listed]) | _side("response", [one.response for one in listed])


def _side(side: str, edits: list[Edits]) -> Json:
    """Envoy removes first and adds then; so what a later edit removes must not be added by an earlier one."""
    added: list[tuple[str, Json]] = []
    for edit in edits:
        gone = {name.lower() for name in edit.remove}
        added = [(name, change) for name, change in added if name not in gone]
        added += [(name.lower(), put(name, value)) for name, value in edit.set.items()]
        added += [(name.lower(), _change(name, _literal(value), _ADD)) for name, value in edit.add.items()]
    removed = sorted({name.lower() for edit in edits for name in edit.remove})
    found: Json = {f"{side}_headers_to_add": [change for _, change in added]} if added else {}
    return found | ({f"{side}_headers_to_remove": removed} if removed else {})


def put(name: str, value: str) -> Json:
    """A header that gets this very value in place of what was there."""
    return _change(name, _literal(value), _SET)


def computed(name: str, form: str) -> Json:
    """The same for a value that Envoy computes, like %DOWNSTREAM_REMOTE_ADDRESS%."""
    return _change(name, form, _SET)


def _change(name: str, value: str, action: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _literal(value: str) -> str:
    """Envoy takes % for the beginning of a command of its own."""
    return value.replace("%", "%%")


def joined(*parts: Mapping[str, object]) -> Json:
    """Fields of one route put together: lists one after the other, mappings key by key."""
    found: Json = {}
    for part in parts:
        for key, value in part.items():
            if isinstance(value, list):
                found[key] = [*found.get(key, []), *value]
            elif isinstance(value, dict):
                found[key] = {**found.get(key, {}), **value}
            else:
                found[key] = value
    return found
