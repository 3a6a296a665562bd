"""Who has which fields of an object, as the API server keeps it (server-side apply). Pure.

(https://kubernetes.io/docs/reference/using-api/server-side-apply/)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.targets.kubernetes.answers import Clash
from aiculturekit.targets.kubernetes.clients import MANAGER

_HANDS = ("kubectl", "k9s", "Mozilla", "dashboard", "lens", "Lens", "node-fetch")
"""Beginnings of the names that tools of people have: what they change is put right, with a word; what another program has is its own."""
_SELECTOR = re.compile(r'\[(?P<body>(?:"(?:[^"\\]|\\.)*"|[^\]"])*)\]')
_PAIR = re.compile(r'(?P<key>[^=,]*)=(?P<value>"(?:[^"\\]|\\.)*"|[^,]*)')


def owned(metadata: Mapping[str, Any]) -> str:
    """A digest of the fields that are ours; empty where none are."""
    ours = [entry.get("fieldsV1") for entry in metadata.get("managedFields") or () if _is_ours(entry)]
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16] if ours else ""


def changer(metadata: Mapping[str, Any]) -> str:
    """Who changed it last, other than us; empty where nobody says so."""
    others = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") != MANAGER and entry.get("subresource", "") in ("", "scale")
    ]
    return max(others, key=lambda entry: str(entry.get("time", "")))["manager"] if others else ""


def is_by_hand(clashes: Sequence[Clash], *, was: Mapping[str, Any] | None) -> bool:
    """Whether people's tools took what was ours: `was` is the object as we had applied it."""
    return was is not None and all(clash.manager.startswith(_HANDS) and has(was, clash.field) for clash in clashes)


def has(value: Any, field: str) -> bool:
    """Whether the object has the field: `.spec.template.spec.containers[name="web"].env[name="A"].value`."""
    if not field:
        return True
    if field.startswith("["):
        return _has_element(value, field)
    rest = field.removeprefix(".")
    if not isinstance(value, Mapping):
        return False
    # A key may have dots of its own (annotations do): the longest that fits is it.
    fitting = [key for key in value if rest == key or rest.startswith((f"{key}.", f"{key}["))]
    return any(has(value[key], rest[len(key) :]) for key in sorted(fitting, key=len, reverse=True))


def _has_element(value: Any, field: str) -> bool:
    match = _SELECTOR.match(field)
    if match is None or not isinstance(value, Sequence) or isinstance(value, str):
        return False
    body, rest = match["body"], field[match.end() :]
    if body.isdigit():
        return int(body) < len(value) and has(value[int(body)], rest)
    asked = {pair["key"]: _literal(pair["value"]) for pair in _PAIR.finditer(body)}
    if set(asked) == {""}:  # a set: the value itself
        return asked[""] in value
    return any(has(one, rest) for one in value if isinstance(one, Mapping) and _fits(one, asked))


def _fits(one: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """What an object leaves out, the server may have filled in."""
    return all(one.get(key, value) == value for key, value in asked.items())


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
