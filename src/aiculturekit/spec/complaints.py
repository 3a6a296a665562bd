"""pydantic's findings as sentences about the file, with the nearest known key where one is unknown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.spec.models import nearest
from aiculturekit.spec.texts import Path, Place


def problems(
    error: ValidationError, *, root: type[BaseModel], file: str, places: Mapping[Path, Place]
) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        path: Path = tuple(detail["loc"])
        message, hint = _sentence(detail, path, root)
        yield problem(path, message, hint=hint, file=file, places=places)


def problem(path: Path, message: str, *, hint: str = "", file: str, places: Mapping[Path, Place]) -> Problem:
    line, column = nearest(places, path)
    return Problem(".".join(str(part) for part in path), message, hint, file=file, line=line, column=column)


def _sentence(detail: Any, path: Path, root: type[BaseModel]) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return unknown(str(path[-1]), known_keys(root, path[:-1]))
        case "missing":
            return say("the key {key} is missing", key=f"`{path[-1]}`"), say("`aic explain` shows what it is for")
        case "literal_error":
            return say("must be one of {expected}", expected=context["expected"]), ""
        case "value_error":
            text, _, hint = str(context["error"]).partition("; ")
            return text, hint
        case "string_pattern_mismatch":
            return say("{value} does not have the right form", value=repr(detail["input"])[:60]), say(
                "`aic explain` shows examples"
            )
    told = _TYPES.get(kind)
    return (told() if told else str(detail["msg"])), ""


_TYPES: dict[str, Callable[[], str]] = {
    "string_type": lambda: say("must be text"),
    "int_type": lambda: say("must be a whole number"),
    "int_parsing": lambda: say("must be a whole number"),
    "int_from_float": lambda: say("must be a whole number"),
    "float_type": lambda: say("must be a number"),
    "float_parsing": lambda: say("must be a number"),
    "bool_type": lambda: say("must be true or false"),
    "bool_parsing": lambda: say("must be true or false"),
    "tuple_type": lambda: say("must be a list"),
    "list_type": lambda: say("must be a list"),
    "dict_type": lambda: say("must be a mapping (key: value)"),
    "mapping_type": lambda: say("must be a mapping (key: value)"),
    "model_type": lambda: say("must be a mapping (key: value)"),
    "model_attributes_type": lambda: say("must be a mapping (key: value)"),
    "invalid_key": lambda: say("a key must be a word"),
}


def unknown(key: str, known: list[str]) -> tuple[str, str]:
    close = get_close_matches(key, known, 1, 0.5)
    hint = say("did you mean {near}?", near=close[0]) if close else say("known here: {known}", known=", ".join(known))
    return say("unknown key {key}", key=repr(key[:60])), hint


def known_keys(root: type[BaseModel], path: Path) -> list[str]:
    """The keys that may stand in the mapping at `path`."""
    model: type[BaseModel] = root
    within_container = False
    for part in path:
        if within_container:
            within_container = False
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        inner = model_in(field.annotation) if field else None
        if field is None or inner is None:
            return []
        model, within_container = inner, is_container(field.annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := model_in(argument))), None)


def is_container(annotation: Any) -> bool:
    """Whether a name or an index stands between the annotation's own place and the model in it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_container(get_args(annotation)[0])
    return isinstance(origin, type) and issubclass(origin, Mapping | tuple)
