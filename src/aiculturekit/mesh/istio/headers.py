"""Changes to headers: what the service says and what the route adds, as the one set that an Istio route has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.rules import Edits, Headers

_NONE: Mapping[str, str | None] = MappingProxyType({})


def compiled(levels: Iterable[Headers], *, marks: Mapping[str, str | None] = _NONE) -> Json:
    """`marks` tell the service's side what it cannot see for itself, in place of what a client may have sent; None takes one away."""
    listed = list(levels)
    request, response = _joined([one.request for one in listed]), _joined([one.response for one in listed])
    if written := {name: value for name, value in marks.items() if value is not None}:
        request["set"] = request.get("set", {}) | written
    if gone := [name for name, value in marks.items() if value is None]:
        request["remove"] = [*request.get("remove", []), *gone]
    found = {name: part for name, part in (("request", request), ("response", response)) if part}
    return {"headers": found} if found else {}


def _joined(levels: list[Edits]) -> Json:
    """The inner level's word counts; two values that are added under one name are a list (RFC 9110, 5.3)."""
    setting: dict[str, str] = {}
    adding: dict[str, str] = {}
    removing: list[str] = []
    for one in levels:
        gone = {name.lower() for name in one.remove}
        setting = {name: value for name, value in setting.items() if name not in gone}
        adding = {name: value for name, value in adding.items() if name not in gone}
        setting |= {name.lower(): _literal(value) for name, value in one.set.items()}
        for name, value in one.add.items():
            key, text = name.lower(), _literal(value)
            adding[key] = f"{adding[key]},{text}" if key in adding else text
        removing += [name.lower() for name in one.remove]
    found = {"set": setting, "add": adding, "remove": list(dict.fromkeys(removing))}
    return {name: part for name, part in found.items() if part}


def _literal(value: str) -> str:
    """Envoy, to which Istio hands it as it is, takes % for the beginning of a command of its own."""
    return value.replace("%", "%%")
