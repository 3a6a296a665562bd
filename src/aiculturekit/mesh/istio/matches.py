"""Which requests a route takes, in Istio's words. Pure.

A prefix of whole segments is two matches, since Istio's prefix is one of letters: /api is `exact: /api` and `prefix: /api/`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy.matches import cookie
from aiculturekit.mesh.istio import tokens
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rendering import Gap
from aiculturekit.mesh.rules import Match, Pattern

Json = dict[str, Any]
COOKIES = 3
"""Of so many cookies every order can be written as one regular expression."""

_BEFORE, _BETWEEN, _BEHIND = r"(?:.*;\s*)?", r"\s*;(?:.*;)?\s*", r"(?:\s*;.*)?"


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """One of the HTTPMatchRequests that a match becomes. `is_inner`: it takes what lies below the prefix, not the prefix itself."""

    request: Json
    is_inner: bool = False


def forms(match: Match) -> list[Form]:
    rest = _rest(match)
    return [Form(uri | rest, is_inner) for uri, is_inner in _paths(match.path)]


def _paths(pattern: Pattern | None) -> list[tuple[Json, bool]]:
    if pattern is None or pattern.present:
        return [({}, True)]
    if pattern.exact is not None:
        return [({"uri": {"exact": pattern.exact}}, False)]
    if pattern.regex is not None:
        return [({"uri": {"regex": pattern.regex}}, False)]
    trimmed = (pattern.prefix or "/").rstrip("/")
    if not trimmed:
        return [({"uri": {"prefix": "/"}}, True)]
    return [({"uri": {"exact": trimmed}}, False), ({"uri": {"prefix": f"{trimmed}/"}}, True)]


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


def gaps(service: Service) -> Iterator[Gap]:
    """Istio compares each header once in a match, and the cookies are one header."""
    for branch in branches(service):
        is_crowded = len(branch.match.cookie) > COOKIES
        if is_crowded or (branch.match.cookie and "cookie" in {name.lower() for name in branch.match.header}):
            reason = say(
                "Istio compares each header once, and all cookies are one header; at most {count}", count=COOKIES
            )
            yield Gap(service.app, service.name, f"traffic.{branch.name}.cookie", reason)
            return
