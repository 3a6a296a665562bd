"""Changes to headers: what the service says and what the route adds, as the one set that an Istio route has. Pure."""

from __future__ import annotations

from aiculturekit.mesh.istio import names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.rules import Edits, Headers


def edits(levels: tuple[Headers, ...], *, mark: str | None) -> Json:
    """`mark` is noted for the service's side, in place of what a client may have sent."""
    request = _joined([one.request for one in levels])
    response = _joined([one.response for one in levels])
    if mark:
        request["set"] = request.get("set", {}) | {names.BRANCH: mark}
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
        setting |= {name.lower(): value for name, value in one.set.items()}
        for name, value in one.add.items():
            key = name.lower()
            adding[key] = f"{adding[key]},{value}" if key in adding else value
        removing += one.remove
    found = {"set": setting, "add": adding, "remove": list(dict.fromkeys(removing))}
    return {name: part for name, part in found.items() if part}
