"""Which requests a route takes, in Istio's words. Pure.

A prefix of whole segments is two matches, since Istio's prefix is one of letters: /api is `exact: /api` and `prefix: /api/`.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

from aiculturekit.mesh.envoy.matches import cookie
from aiculturekit.mesh.istio import tokens
from aiculturekit.mesh.rules import Match, Pattern

Json = dict[str, Any]
COOKIES = 3
"""Of so many cookies every order can be written as one regular expression."""

_BEFORE, _BETWEEN, _BEHIND = r"(?:.*;\s*)?", r"\s*;(?:.*;)?\s*", r"(?:\s*;.*)?"


def requests(match: Match) -> list[Json]:
    """The HTTPMatchRequests, of which one must hold."""
    rest = _rest(match)
    return [uri | rest for uri in _paths(match.path)]


def _paths(pattern: Pattern | None) -> list[Json]:
    if pattern is None or pattern.present:
        return [{}]
    if pattern.exact is not None:
        return [{"uri": {"exact": pattern.exact}}]
    if pattern.regex is not None:
        return [{"uri": {"regex": pattern.regex}}]
    trimmed = (pattern.prefix or "/").rstrip("/")
    return [{"uri": {"exact": trimmed}}, {"uri": {"prefix": f"{trimmed}/"}}] if trimmed else [{"uri": {"prefix": "/"}}]


def _rest(match: Match) -> Json:
    headers = {name.lower(): _text(pattern) for name, pattern in sorted(match.header.items())}
    if match.cookie:
        headers["cookie"] = {"regex": _cookies(match)}
    headers |= {f"@{tokens.claim(name)}": {"exact": value} for name, value in sorted(match.claim.items())}
    query = {name: _text(pattern) for name, pattern in sorted(match.query.items())}
    found: Json = {"method": {"exact": match.method}} if match.method else {}
    return found | ({"headers": headers} if headers else {}) | ({"queryParams": query} if query else {})


def _text(pattern: Pattern) -> Json:
    """That it is there, whatever it is, is the empty match."""
    if pattern.present:
        return {}
    if pattern.exact is not None:
        return {"exact": pattern.exact}
    return {"regex": pattern.regex} if pattern.regex is not None else {"prefix": pattern.prefix}


def _cookies(match: Match) -> str:
    """All of them, in any order: a request has one Cookie header, and Istio's match one entry for it."""
    single = [cookie(name, pattern) for name, pattern in sorted(match.cookie.items())]
    if len(single) == 1:
        return single[0]
    texts = [_middle(one) for one in single]
    return "|".join(f"{_BEFORE}{_BETWEEN.join(order)}{_BEHIND}" for order in permutations(texts))


def _middle(regex: str) -> str:
    """`name=value` out of what is a regular expression for the whole header."""
    return regex.removeprefix(_BEFORE).removesuffix(_BEHIND)


def is_crowded(match: Match) -> bool:
    """Whether it compares one header more often than Istio can: the cookies are one header."""
    headers = {name.lower() for name in match.header}
    return len(match.cookie) > COOKIES or bool(match.cookie and "cookie" in headers)
