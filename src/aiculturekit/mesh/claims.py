"""Claims of a token (RFC 7519): how the application file names them, and what comparing one means on every mesh. Pure.

A claim holds when its value is the wanted text, or a list with the wanted text in it; `scope` and `permission` count as lists of words
(RFC 8693, 4.2). A number or a boolean is compared by how JSON writes it.
"""

from __future__ import annotations

WORDS = ("scope", "permission")
"""Claims whose value is several words in one text."""


def parts(name: str) -> tuple[str, ...]:
    """`realm_access.roles` is a claim within a claim; an address such as https://example.com/roles is one name."""
    return (name,) if "/" in name else tuple(name.split("."))


def readings(value: str) -> tuple[str | float | bool, ...]:
    """All JSON values that count as this text."""
    found: list[str | float | bool] = [value]
    if value in ("true", "false"):
        found.append(value == "true")
    elif value.lstrip("-").replace(".", "", 1).isdigit():
        found.append(float(value))
    return tuple(found)
