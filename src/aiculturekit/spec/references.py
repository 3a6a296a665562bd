"""`${…}` within `env:` values. `$${` writes a plain `${`. Pure.

${resources.users-db.url}    what a resource is reached by
${services.orders.url}       a service, through the mesh, as this workload
${env.NAME}                  a variable of the shell that runs `aic`; ${env.NAME:-default}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_REFERENCE = re.compile(r"\$\$\{|\$\{([^${}]*)\}")
_BROKEN = re.compile(r"(?<!\$)\$\{[^}]*$")


def names(text: str) -> Iterator[str]:
    """What the text refers to, in order. Raises ValueError for one that is not closed."""
    if _BROKEN.search(text):
        raise ValueError("a ${ is not closed; write $${ for a plain one")
    return (found[1] for found in _REFERENCE.finditer(text) if found[1] is not None)


def expand(text: str, *, lookup: Callable[[str], str]) -> str:
    """The text with each reference replaced by `lookup(name)`, and `$${` by `${`."""
    return _REFERENCE.sub(lambda found: "${" if found[1] is None else lookup(found[1]), text)


def resolve_environment(
    text: str, *, variables: Callable[[str], str | None], keeps: Callable[[str], bool] = lambda _: False
) -> str:
    """The text with its `${env.…}` replaced; the rest stays as it is, and so does a variable that `keeps` says, without its default. Raises
    ValueError for a variable that is not set."""

    def value(found: re.Match[str]) -> str:
        if found[1] is None or not found[1].startswith("env."):
            return found[0]
        name, has_default, default = found[1][4:].partition(":-")
        given = variables(name)
        if keeps(name) and not (given is None and has_default):
            return f"${{env.{name}}}"
        if given is None and not has_default:
            raise ValueError(f"{name} is not set in your environment; set it, or write ${{env.{name}:-default}}")
        return (given if given is not None else default).replace("${", "$${")

    return _REFERENCE.sub(value, text)
