"""The manual of every key, offline: made from the models, with a real piece of YAML for each section. Pure."""

from __future__ import annotations

import dataclasses
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.spec import complaints
from aiculturekit.spec.examples import EXAMPLES
from aiculturekit.spec.models import File
from aiculturekit.spec.units import shown_default

_ANY = "NAME"


@dataclasses.dataclass(frozen=True, slots=True)
class Manual:
    """`path` as asked, `default` as it would be written ("" when required or empty), `keys` the (key, description) within it."""

    path: str
    kind: str
    description: str
    default: str
    required: bool
    example: str
    keys: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"keys": [{"key": key, "description": text} for key, text in self.keys]}


def explain(path: str = "") -> Manual:
    """The manual of a key path such as `services.traffic` or `services.web.traffic.retries`. Raises NotFound."""
    model: type[BaseModel] = File
    field: FieldInfo | None = None
    is_named = True
    for part in [part for part in path.split(".") if part]:
        known = {f.alias or name: f for name, f in model.model_fields.items()}
        if part not in known:
            if not is_named and not get_close_matches(part, list(known), 1, 0.8):  # a name of the user's own
                is_named = True
                continue
            raise _unknown(path, part, list(known))
        field = known[part]
        is_named = not complaints.is_container(field.annotation)
        model = complaints.model_in(field.annotation) or _Leaf
    return _manual(path, field, model)


class _Leaf(BaseModel):
    """What a plain value has within it: nothing."""


def _manual(path: str, field: FieldInfo | None, model: type[BaseModel]) -> Manual:
    keys = tuple((f.alias or name, say(f.description or "")) for name, f in model.model_fields.items())
    section = next((part for part in reversed(path.split(".")) if part in EXAMPLES), "")
    return Manual(
        path=path,
        kind=_kind(field),
        description=say(field.description or "") if field else say("aic.yaml: one application"),
        default=shown_default(field.get_default(call_default_factory=False))
        if field and not field.is_required()
        else "",
        required=bool(field and field.is_required()),
        example=EXAMPLES.get(section or "", EXAMPLES["app"]),
        keys=keys,
    )


def _kind(field: FieldInfo | None) -> str:
    if field is None:
        return say("mapping")
    annotation = field.annotation
    if complaints.model_in(annotation):
        origin = get_origin(annotation)
        return say("mapping") if not isinstance(origin, type) or not issubclass(origin, tuple) else say("list")
    names = {str: say("text"), int: say("whole number"), float: say("number"), bool: say("true or false")}
    candidates = [annotation, *get_args(annotation)]
    return next(
        (names[kind] for kind in candidates if kind in names),
        say("mapping") if "Mapping" in str(annotation) else say("text"),
    )


def _unknown(path: str, part: str, known: list[str]) -> NotFound:
    _, hint = complaints.unknown(part, known)
    return NotFound(say("the file has no key {path}", path=repr(path)), hint=hint)
