"""Secrets by reference: the file says where a value is, never the value. Pure.

secret:env/NAME               a variable of the shell that runs `aic`: a resource's `url:`
secret:file/PATH              a file beside the application file, or at an absolute path: the same
secret:kubernetes/NAME/KEY    a key of a Secret that stands in the application's namespace: a variable of a workload in a cluster
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from aiculturekit.spec import references

Kind = Literal["env", "file", "kubernetes"]
_PREFIX = "secret:"
_NAMES: Mapping[Kind, re.Pattern[str]] = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r"[^\x00-\x1f]+"),
    "kubernetes": re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9._-]{1,253}"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """`name` is the variable's, the path, or NAME/KEY."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{_PREFIX}{self.kind}/{self.name}"


def is_one(text: str) -> bool:
    """Whether the text is meant as one."""
    return text.startswith(_PREFIX)


def parse(text: str) -> Reference | None:
    """None for what can't be read."""
    scheme, _, rest = text.partition(":")
    kind, _, name = rest.partition("/")
    for known, pattern in _NAMES.items():
        if (scheme, kind) == ("secret", known) and pattern.fullmatch(name):
            return Reference(known, name)
    return None


def found(value: Any, path: Sequence[str] = ()) -> Iterator[tuple[str, Reference]]:
    """(key path, reference) of every secret in what a file says; `${env.NAME}` is one too."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from found(item, (*path, str(key)))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from found(item, (*path, str(at)))
    elif isinstance(value, str):
        yield from ((".".join(path), one) for one in _of_text(value))


def _of_text(text: str) -> Iterator[Reference]:
    if is_one(text):
        if reference := parse(text):
            yield reference
        return
    try:
        listed = list(references.names(text))
    except ValueError:  # said by who checks the file
        return
    for name in listed:
        if name.startswith("env.") and ":-" not in name:
            yield Reference("env", name.removeprefix("env."))
