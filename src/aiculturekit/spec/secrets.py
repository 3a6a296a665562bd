"""Secrets by reference: the file says where a value is, never the value. Pure.

secret:env/NAME               a variable of the shell that runs `aic`
secret:file/PATH              a file beside the application file, or at an absolute path
secret:kubernetes/NAME/KEY    a key of a Secret that stands in the application's namespace

A resource's `url:` may be one of the first two; a workload's variable any of them, in a cluster. There `${env.NAME}` is one too, where it
sounds secret.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from aiculturekit.spec import references

Kind = Literal["env", "file", "kubernetes"]
_PREFIX = "secret:"
_NAMES: Mapping[Kind, re.Pattern[str]] = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r"[^\x00-\x1f]+"),
    "kubernetes": re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9._-]{1,253}"),
}
NAMED = r"pass|secret|token|key|credential|private|dsn"
"""What a name that sounds secret has in it, in small letters or capital ones."""
_NAMED = re.compile(NAMED, re.I)
_VALUED = re.compile(
    r"://[^/@\s]*:[^/@\s]+@|-----BEGIN|^[sr]k_(live|test)_|^gh[opsu]_|^github_pat_|^glpat-|^xox[abpr]-|^eyJ[\w-]+\.[\w-]+\."
)
"""A password in a URL, a key as it is written to files, and the beginnings that well-known services give their keys."""

_WHOLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")


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


def sounds(name: str) -> bool:
    """Whether what has this name is most likely secret."""
    return bool(_NAMED.search(name))


def looks(value: str) -> bool:
    """Whether the value itself is most likely secret, whatever its name is."""
    return bool(_VALUED.search(value))


def parse(text: str) -> Reference | None:
    """None for what can't be read."""
    scheme, _, rest = text.partition(":")
    kind, _, name = rest.partition("/")
    for known, pattern in _NAMES.items():
        if (scheme, kind) == ("secret", known) and pattern.fullmatch(name):
            return Reference(known, name)
    return None


def given(text: str) -> Reference | None:
    """The one that the whole of a variable's text is, when whoever deploys has its value."""
    found = parse(text)
    return found if found and found.kind != "kubernetes" else None


def hidden(key: str, text: str, *, variables: Callable[[str], str | None]) -> str:
    """The text of the variable `key` as others may read it: what is secret in it stays a reference, each other `${env.NAME}` is filled
    in. Raises ValueError for one that is neither secret nor set, and has no default."""
    if is_one(text):
        return text

    def is_kept(name: str) -> bool:
        return sounds(key) or sounds(name) or looks(text) or looks(variables(name) or "")

    shown = references.resolve_environment(text, variables=variables, keeps=is_kept)
    whole = _WHOLE.fullmatch(shown)
    return str(Reference("env", whole[1])) if whole else shown


def of_text(text: str) -> tuple[Reference, ...]:
    """Those that a variable's text has in it. Raises ValueError for a reference that is not closed."""
    if is_one(text):
        found = parse(text)
        return (found,) if found else ()
    named = (name.removeprefix("env.") for name in references.names(text) if name.startswith("env."))
    return tuple(Reference("env", name) for name in named if ":-" not in name)


def found(value: Any, path: Sequence[str] = ()) -> Iterator[tuple[str, Reference]]:
    """(key path, reference) of every secret in what a file says; `${env.NAME}` is one too."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from found(item, (*path, str(key)))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from found(item, (*path, str(at)))
    elif isinstance(value, str):
        with contextlib.suppress(ValueError):  # said by who checks the file
            yield from ((".".join(path), one) for one in of_text(value))
