"""Plain JSON -> the mesh's frozen values, by their own annotations. Pure.

Not pydantic: what comes in was checked when the application file was read, and building its validators costs the daemon's start 50 ms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read(kind: type[T], record: Mapping[str, Any]) -> T:
    """The dataclass `kind` from a mapping of its fields; what is left out has its default. Raises TypeError for an unknown field."""
    annotation: Any = kind
    made: T = _reader(annotation)(record)
    return made


@cache
def _reader(annotation: Any) -> Callable[[Any], Any]:
    if dataclasses.is_dataclass(annotation):
        return _of_dataclass(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        one = _reader(arguments[0])
        return lambda given: tuple(one(item) for item in given)
    if origin is Mapping:
        value = _reader(arguments[1])
        return lambda given: {key: value(item) for key, item in given.items()}
    if origin in (Union, UnionType):
        inner = _reader(next(kind for kind in arguments if kind is not NoneType))
        return lambda given: None if given is None else inner(given)
    return lambda given: given


def _of_dataclass(kind: Any) -> Callable[[Any], Any]:
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    return lambda given: kind(**{name: readers.get(name, _as_it_is)(item) for name, item in given.items()})


def _as_it_is(value: Any) -> Any:
    return value
