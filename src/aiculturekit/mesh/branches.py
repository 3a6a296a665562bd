"""A service's rules as one flat list: the first branch whose match holds decides everything about a request. Every renderer starts
from it, so that what `routes`, `when` and `versions` mean together is decided once. Pure.

Order: `routes` as they stand, then all other requests; within each the ones that a fault is meant for first; within those the versions
that claim a request by their own match, then the split by weight.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

from aiculturekit.mesh.nodes import Service, Version
from aiculturekit.mesh.rules import (
    Fault,
    Headers,
    Limit,
    Match,
    Mirror,
    Pattern,
    Redirect,
    Retries,
    Rewrite,
    Route,
    Sticky,
)

ALL = Match()
_HEAD = re.compile(r"[\w/-]*(?![*?+{])")


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """`name` is stable and unique within the service. `shares` is version -> percent, adding up to 100; empty where the answer needs no
    version (`redirect`), or where no version takes requests now (503). `fault.when` is already part of the match. `matched` is the path
    that the route declares, which a rewrite replaces. Branches whose limits are the same ones, counted together, have the same
    `limited_as`. `sticky` is set where the split decides the version."""

    name: str
    match: Match
    shares: tuple[tuple[str, float], ...]
    timeout: float | None
    retries: Retries
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    matched: Pattern | None = None
    limit: tuple[Limit, ...] = ()
    limited_as: str = "traffic"
    mirror: Mirror | None = None
    fault: Fault | None = None
    headers: tuple[Headers, ...] = ()
    sticky: Sticky | None = None


class Contradiction(ValueError):
    """Two matches that cannot be put into one: a regular expression and another path."""


def branches(service: Service, *, within: str = "/") -> tuple[Branch, ...]:
    """All branches for requests whose path lies within a prefix, in order; the last one takes whatever is left."""
    return tuple(_found(service, Match(path=Pattern(prefix=within)) if within != "/" else ALL))


def _found(service: Service, outer: Match) -> Iterator[Branch]:
    traffic = service.traffic
    for at, route in enumerate((*traffic.routes, None)):
        name = f"route-{at + 1}" if route else "rest"
        match = both(outer, route.match) if route else outer
        if match is None:
            continue
        fault = (route.fault if route else None) or traffic.fault
        if fault and fault.when and not (route and route.redirect):
            if (narrower := both(fault.when, match)) is not None:
                yield from _of(service, route, narrower, dataclasses.replace(fault, when=None), f"{name}-fault")
            fault = None
        yield from _of(service, route, match, fault, name)


def _of(service: Service, route: Route | None, match: Match, fault: Fault | None, name: str) -> Iterator[Branch]:
    traffic = service.traffic
    plain = Branch(
        name=name,
        match=match,
        shares=(),
        timeout=traffic.timeout if route is None or route.timeout is None else route.timeout,
        retries=(route.retries if route else None) or traffic.retries,
        redirect=route.redirect if route else None,
        rewrite=route.rewrite if route else None,
        matched=route.match.path if route else None,
        limit=(route.limit if route else ()) or traffic.limit,
        limited_as=name.removesuffix("-fault") if route and route.limit else "traffic",
        mirror=(route.mirror if route else None) or traffic.mirror,
        fault=fault,
        headers=tuple(h for h in (traffic.headers, route.headers if route else None) if h and h != Headers()),
    )
    if plain.redirect or (route and route.version):
        chosen = ((route.version, 100.0),) if route and route.version and not plain.redirect else ()
        yield dataclasses.replace(plain, shares=chosen)
        return
    for version in service.versions:
        if version.match and (claimed := both(version.match, match)) is not None:
            shares = ((version.name, 100.0),)
            yield dataclasses.replace(plain, name=f"{name}-{version.name}", match=claimed, shares=shares)
    yield dataclasses.replace(plain, shares=_split(service.versions), sticky=traffic.sticky)


def _split(versions: tuple[Version, ...]) -> tuple[tuple[str, float], ...]:
    return tuple((version.name, version.weight) for version in versions if version.weight > 0)


def both(one: Match, other: Match) -> Match | None:
    """The match that holds where both do; None where they never do. Raises Contradiction."""
    if one.method and other.method and one.method != other.method:
        return None
    if any(one.claim[name] != other.claim[name] for name in one.claim.keys() & other.claim.keys()):
        return None
    try:
        return Match(
            path=_path(one.path, other.path),
            method=one.method or other.method,
            header=_texts(one.header, other.header),
            cookie=_texts(one.cookie, other.cookie),
            query=_texts(one.query, other.query),
            claim={**other.claim, **one.claim},
        )
    except _Disjoint:
        return None


class _Disjoint(Exception):
    """Nothing fits both."""


def _texts(one: Mapping[str, Pattern], other: Mapping[str, Pattern]) -> dict[str, Pattern]:
    shared = {name: _narrower(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**other, **one, **shared}


def _narrower(one: Pattern, other: Pattern) -> Pattern:
    if one == other or other.present:
        return one
    if one.present:
        return other
    for text, pattern in ((one, other), (other, one)):
        if text.exact is not None:
            if _fits(text.exact, pattern):
                return text
            raise _Disjoint
    if one.prefix is not None and other.prefix is not None:
        long, brief = sorted((one.prefix, other.prefix), key=len, reverse=True)
        if long.startswith(brief):
            return one if one.prefix == long else other
        raise _Disjoint
    raise Contradiction


def _fits(text: str, pattern: Pattern) -> bool:
    if pattern.regex is not None:
        return re.fullmatch(pattern.regex, text) is not None
    return text == pattern.exact if pattern.prefix is None else text.startswith(pattern.prefix)


def _path(one: Pattern | None, other: Pattern | None) -> Pattern | None:
    if one is None or other is None or one == other:
        return one or other
    if _covers(one, other):
        return other
    if _covers(other, one):
        return one
    if _is_unclear(one, other) or _is_unclear(other, one):
        raise Contradiction
    raise _Disjoint


def _covers(wide: Pattern, narrow: Pattern) -> bool:
    """Whether `wide` surely takes all that `narrow` does."""
    if wide.regex is not None:
        return narrow.exact is not None and _fits(narrow.exact, wide)
    if wide.exact is not None:
        return narrow.exact == wide.exact
    prefix = (wide.prefix or "/").rstrip("/")
    if not prefix:
        return True
    if narrow.regex is not None:
        return _head(narrow.regex).startswith(f"{prefix}/")
    inner = narrow.exact if narrow.exact is not None else narrow.prefix or "/"
    return inner == prefix or inner.startswith(f"{prefix}/")


def _is_unclear(one: Pattern, other: Pattern) -> bool:
    """Whether a regular expression may or may not lie within the other, as far as can be told from its beginning."""
    if one.regex is None or other.exact is not None:
        return False
    return other.regex is not None or f"{(other.prefix or '/').rstrip('/')}/".startswith(_head(one.regex))


def _head(regex: str) -> str:
    """What it surely begins with: literal characters, up to the first that may be repeated, left out or be something else."""
    found = _HEAD.match(regex)
    return found[0] if found and "|" not in regex else ""
