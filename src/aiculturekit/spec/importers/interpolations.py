"""`$VAR` and `${VAR:-default}` of compose files. Pure.

In `env:` they become `${env.VAR:-default}`, read anew at every start, or `${env.VAR}` where somebody must set it (`${VAR:?why}`); elsewhere
our file has no variables, and the default is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from aiculturekit.spec.importers.names import is_secret

_FORM = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])((?:[^{}]|\$\{[^{}]*\})*))?\})")


def as_references(text: str, *, given: Mapping[str, str]) -> str:
    """The text as a value of `env:`. `given` holds the values of the `.env` file; those of secrets are not copied."""

    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name, operator, word = found[2] or found[3], found[4] or "", found[5] or ""
        if "+" in operator:
            return as_values(word, given=given) if given.get(name) else ""
        shared = given.get(name) if not is_secret(name) else None
        if "?" in operator and shared is None:
            return f"${{env.{name}}}"
        default = shared if shared is not None else as_values(word, given=given) if "-" in operator else ""
        return f"${{env.{name}:-{re.sub(r'[${}]', '', default)}}}"

    return _escaped(text, lambda plain: _FORM.sub(replaced, plain))


def _escaped(text: str, replace: object) -> str:
    """`$${` of compose is a plain `${`, which is written `$${` here too."""
    parts = text.split("$${")
    return "$${".join(replace(part) for part in parts)  # type: ignore[operator]


def as_values(text: str, *, given: Mapping[str, str]) -> str:
    """The text with what the variables are when nobody sets them."""

    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name, operator, word = found[2] or found[3], found[4] or "", found[5] or ""
        value = given.get(name, "") if not is_secret(name) else ""
        if "+" in operator:
            return as_values(word, given=given) if value else ""
        return value or (as_values(word, given=given) if "-" in operator else "")

    return _FORM.sub(replaced, text)


def required(text: str) -> Iterator[tuple[str, str, int]]:
    """(variable, why, line) of each `${VAR:?why}`, once for each variable."""
    seen = set[str]()
    for at, line in enumerate(text.splitlines(), 1):
        for found in _FORM.finditer(line):
            if found[3] and "?" in (found[4] or "") and found[3] not in seen:
                seen.add(found[3])
                yield found[3], found[5] or "", at
