"""Which requests a route takes, in Envoy's words. Pure."""

from __future__ import annotations

import re

from aiculturekit.mesh.envoy import tokens
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.rules import Match, Pattern


def compiled(match: Match) -> Json:
    headers = [_header(name.lower(), pattern) for name, pattern in sorted(match.header.items())]
    headers += [{"name": "cookie", "string_match": _cookie(name, p)} for name, p in sorted(match.cookie.items())]
    if match.method:
        headers.append({"name": ":method", "string_match": {"exact": match.method}})
    query = [_query(name, pattern) for name, pattern in sorted(match.query.items())]
    claims = [tokens.match(name, value) for name, value in sorted(match.claim.items())]
    found = {"headers": headers, "query_parameters": query, "dynamic_metadata": claims}
    return path(match.path) | {key: listed for key, listed in found.items() if listed}


def path(pattern: Pattern | None) -> Json:
    """`/api` takes /api and /api/x, never /apix."""
    if pattern is None or pattern.present:
        return {"prefix": "/"}
    if pattern.exact is not None:
        return {"path": pattern.exact}
    if pattern.regex is not None:
        return {"safe_regex": {"regex": pattern.regex}}
    trimmed = (pattern.prefix or "/").rstrip("/")
    return {"path_separated_prefix": trimmed} if trimmed else {"prefix": "/"}


def _header(name: str, pattern: Pattern) -> Json:
    if pattern.present:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": _text(pattern)}


def _query(name: str, pattern: Pattern) -> Json:
    return {"name": name, "present_match": True} if pattern.present else {"name": name, "string_match": _text(pattern)}


def _text(pattern: Pattern) -> Json:
    if pattern.exact is not None:
        return {"exact": pattern.exact}
    return {"safe_regex": {"regex": pattern.regex}} if pattern.regex is not None else {"prefix": pattern.prefix}


def _cookie(name: str, pattern: Pattern) -> Json:
    return {"safe_regex": {"regex": cookie(name, pattern)}}


def cookie(name: str, pattern: Pattern) -> str:
    """A regular expression for the whole Cookie header (RFC 6265, 4.2.1): every mesh can compare a header, few a cookie."""
    value = "[^;]*"
    if pattern.exact is not None:
        value = re.escape(pattern.exact)
    elif pattern.prefix is not None:
        value = f"{re.escape(pattern.prefix)}[^;]*"
    elif pattern.regex is not None:
        value = f"(?:{pattern.regex})"
    return rf"(?:.*;\s*)?{re.escape(name)}={value}(?:\s*;.*)?"
