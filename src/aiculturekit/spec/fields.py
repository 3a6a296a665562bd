"""The building blocks of the models: a frozen part that refuses unknown keys, and typed quantities in their written forms. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from aiculturekit.spec import units


class Part(BaseModel):
    """One mapping of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def written(parse: Callable[[object], Any], *, like: str, also: str = "string") -> Any:
    """Annotations for a quantity: parsed from its written form; in the JSON Schema a string (or number) with an example."""
    kinds: Any = ["string", also] if also != "string" else "string"
    return (BeforeValidator(_once(parse)), WithJsonSchema({"type": kinds, "examples": [like]}))


def _once(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """Refuse what can't be a quantity with a sentence instead of a type name."""

    def checked(value: object) -> Any:
        if value is None or isinstance(value, bool | dict | list):
            raise ValueError(f"{value!r} is not a quantity" if value is not None else "it has no value")
        return parse(value)

    return checked


def listed(value: object) -> object:
    """A single value where a list may stand."""
    return value if isinstance(value, list | tuple) or value is None else [value]


def text(value: object) -> object:
    """Numbers and truth values where text is meant: `env: {DEBUG: true, LEVEL: 3}`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _path_prefix(value: str) -> str:
    if not value.startswith("/") or any(character in value for character in " ?#\\\t\n") or "//" in value:
        raise ValueError(f"{value!r} is not a path prefix; write / or /shop")
    return value if value == "/" else value.rstrip("/")


def _command(value: str) -> str:
    if not value.strip():
        raise ValueError("the command is empty")
    return value


def _image(value: str) -> str:
    if not value or any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError(f"{value!r} names no image; write REGISTRY/REPOSITORY:TAG")
    return value


_d_type, _d_schema = written(units.duration, like="2s")
_m_type, _m_schema = written(units.memory, like="128Mi", also="integer")
_s_type, _s_schema = written(units.size, like="10Mi", also="integer")
_c_type, _c_schema = written(units.cpu, like="250m", also="number")
_p_type, _p_schema = written(units.percent, like="10%", also="number")

Duration = Annotated[float, _d_type, _d_schema]
"""Seconds."""
Memory = Annotated[int, _m_type, _m_schema]
"""Bytes, enough for a process."""
Size = Annotated[int, _s_type, _s_schema]
"""Bytes."""
Cpu = Annotated[int, _c_type, _c_schema]
"""Millicores."""
Percent = Annotated[float, _p_type, _p_schema]
"""0 to 100."""
Text = Annotated[str, BeforeValidator(text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Command = Annotated[str, AfterValidator(_command)]
Image = Annotated[str, AfterValidator(_image)]
Prefix = Annotated[str, AfterValidator(_path_prefix)]
