"""Who wins when two rules fit a request. The application file says: the first. The Gateway API says: the most specific one. Pure.

Its order: an exact path, the longest prefix, a method, the most headers, the most query parameters, then the order within the route
(HTTPRouteSpec.rules). So a service's branches can be said only where their own order agrees with that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from aiculturekit.mesh.branches import ALL, Branch, Contradiction, both
from aiculturekit.mesh.rules import Match, Pattern

Rank = tuple[int, int, bool, int, int]
_EVERYTHING = (ALL, Match(path=Pattern(prefix="/")))


def disputes(branches: Sequence[Branch]) -> Iterator[tuple[Branch, Branch]]:
    """Pairs (earlier, later) that fit the same request, where the later one would, or might, win."""
    for one, other in combinations(branches, 2):
        if overlap(one.match, other.match) and _may_win(other.match, one.match):
            yield one, other


def overlap(one: Match, other: Match) -> bool:
    """Whether some request may fit both."""
    try:
        return both(one, other) is not None
    except Contradiction:
        return True


def _may_win(later: Match, earlier: Match) -> bool:
    """The place of regular expressions is left to each implementation; all of them put one before the rule for everything."""
    if _is_unranked(later, earlier):
        return later not in _EVERYTHING
    return rank(later) > rank(earlier)


def _is_unranked(one: Match, other: Match) -> bool:
    paths = one.path, other.path
    return paths[0] != paths[1] and any(path is not None and path.regex is not None for path in paths)


def is_tie(one: Match, other: Match) -> bool:
    """Whether the order within a route is what decides between two."""
    return overlap(one, other) and not _is_unranked(one, other) and rank(one) == rank(other)


def rank(match: Match) -> Rank:
    path = match.path
    kind = 1 if path and path.exact is not None else 0
    length = len((path.exact or (path.prefix or "").rstrip("/")) if path else "")
    return kind, length, match.method is not None, len(match.header) + len(match.cookie), len(match.query)


def place(branch: Branch) -> str:
    """The key of the application file that a branch comes from."""
    parts = branch.name.split("-", 2)
    if parts[0] == "route":
        return f"traffic.routes.{int(parts[1]) - 1}"
    version = branch.name.removeprefix("rest-")
    return f"versions.{version}.match" if version != branch.name and version != "fault" else "traffic"
