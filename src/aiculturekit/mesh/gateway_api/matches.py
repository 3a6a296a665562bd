"""A Match as an HTTPRoute says it. Pure.

Cookies are compared within the `cookie` header, which a route can name once; `prefix` and `present` are regular expressions there. Those
are anchored: some implementations look for a part, and Linkerd takes the first of several alternatives that fits, not the longest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh.manifests import escaped
from aiculturekit.mesh.rules import Match, Pattern

_PATH = re.compile(r"/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*")
_UNCLEAR = re.compile(r"//|/\.{1,2}(/|$)|%2[fF]")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}")
_VALUE = re.compile(r"[!-~]+([\t ]?[!-~]+)*")
"""What the Gateway API takes as a path, as the name of a header or a query parameter, and as the value of a header."""
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


def compiled(match: Match) -> dict[str, Any]:
    found: dict[str, Any] = {"path": path(match.path)}
    headers = [_named(name, pattern) for name, pattern in match.header.items()]
    headers += [_cookie(name, pattern) for name, pattern in match.cookie.items()]
    if headers:
        found["headers"] = headers
    if match.query:
        found["queryParams"] = [_named(name, pattern) for name, pattern in match.query.items()]
    if match.method:
        found["method"] = match.method
    return found


def path(pattern: Pattern | None) -> dict[str, str]:
    if pattern is None or pattern.present:
        return {"type": "PathPrefix", "value": "/"}
    if pattern.exact is not None:
        return {"type": "Exact", "value": pattern.exact}
    if pattern.regex is not None:
        return {"type": "RegularExpression", "value": _anchored(pattern.regex)}
    return {"type": "PathPrefix", "value": pattern.prefix or "/"}


def _named(name: str, pattern: Pattern) -> dict[str, str]:
    if pattern.exact is not None:
        return {"type": "Exact", "name": name, "value": pattern.exact}
    return {"type": "RegularExpression", "name": name, "value": _anchored(_regex(pattern))}


def _anchored(regex: str) -> str:
    return f"^(?:{regex})$" if "|" in regex else f"^{regex.removeprefix('^').removesuffix('$')}$"


def _regex(pattern: Pattern) -> str:
    if pattern.exact is not None:
        return escaped(pattern.exact)
    if pattern.prefix is not None:
        return f"{escaped(pattern.prefix)}.*"
    return pattern.regex if pattern.regex is not None else ".*"


def _cookie(name: str, pattern: Pattern) -> dict[str, str]:
    value = "[^;]*" if pattern.present else _within_cookie(pattern)
    text = f"^(.*; ?)?{escaped(name)}={value}(;.*)?$"
    return {"type": "RegularExpression", "name": "cookie", "value": text}


def _within_cookie(pattern: Pattern) -> str:
    if pattern.prefix is not None:
        return f"{escaped(pattern.prefix)}[^;]*"
    return f"({_regex(pattern)})" if pattern.regex is not None else _regex(pattern)


def problem_with_cookies(match: Match, cookies: Mapping[str, Pattern]) -> str | None:
    if len(cookies) > 1 or any(name.lower() == "cookie" for name in match.header):
        return say("a route compares each header once, so one cookie at most")
    return problem_with_values(_cookie(name, pattern)["value"] for name, pattern in cookies.items())


def problem_with_headers(patterns: Mapping[str, Pattern]) -> str | None:
    return problem_with_values(_named(name, pattern)["value"] for name, pattern in patterns.items())


def problem_with_values(values: Iterable[str]) -> str | None:
    unfit = next((value for value in values if not _VALUE.fullmatch(value)), None)
    if unfit is None:
        return None
    return say("{value} is not a header's value that it takes: printable ASCII, single spaces", value=repr(unfit[:60]))


def problem_with_path(path: Pattern | str) -> str | None:
    text = path if isinstance(path, str) else path.exact if path.exact is not None else path.prefix
    if text is not None and (not _PATH.fullmatch(text) or _UNCLEAR.search(text)):
        return say("{path} is not a path that it takes: write other characters as %XX", path=repr(text[:60]))
    return None


def problem_with_query(patterns: Mapping[str, Pattern]) -> str | None:
    unfit = [name for name in patterns if not _NAME.fullmatch(name)]
    return say("{name} is not a name that it takes for a query parameter", name=repr(unfit[0][:60])) if unfit else None


def problem_with_method(method: str) -> str | None:
    return None if method in METHODS else say("it knows the methods {methods}", methods=", ".join(METHODS))
