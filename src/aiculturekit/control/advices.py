"""`needs` beside what was really called: what could be removed or narrowed, and what is missing. Pure.

Nothing is called unused that was not watched for the whole window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiculturekit.control import times
from aiculturekit.control.sightings import Sighting
from aiculturekit.language import say
from aiculturekit.plan.documents import Document

Json = dict[str, Any]
Sightings = Mapping[tuple[str, str], Sighting]


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """One need of a workload for a service; `section` is services or jobs, `operations` empty for all."""

    section: str
    source: str
    target: str
    operations: tuple[tuple[str, str], ...] = ()
    is_http: bool = True


def grants(documents: Sequence[Document]) -> list[Grant]:
    protocols = {d.name: d.body["protocol"] for d in documents if d.kind == "access"}
    found = {
        (name, need["name"]): Grant(
            "jobs" if document.kind == "job" else "services",
            name,
            need["name"],
            tuple((method, path) for method, path in need["operations"]),
            protocols.get(need["name"]) != "tcp",
        )
        for document in documents
        if document.kind in ("workload", "job")
        for name in [document.name.partition("/")[0]]
        for need in document.body["needs"]
        if need["kind"] == "services"
    }
    return [found[pair] for pair in sorted(found)]


def advice(
    documents: Sequence[Document],
    sightings: Sightings,
    refusals: Sequence[Mapping[str, Any]],
    *,
    window: float,
    now: float,
) -> Json:
    """`findings` in the order in which they matter, `grants` with what is known of each, and since when all of them are watched."""
    listed = grants(documents)
    since = max((s.since for g in listed if (s := sightings.get((g.source, g.target)))), default=None)
    return {
        "window_s": window,
        "since": times.iso(since),
        "watched_s": None if since is None else round(now - since, 1),
        "findings": [
            *_of_refusals(listed, refusals, start=now - window),
            *_of_grants(listed, sightings, window=window, now=now),
        ],
        "grants": [_shown(grant, sightings.get((grant.source, grant.target)), window, now) for grant in listed],
    }


def verdict(grant: Grant, sighting: Sighting | None, *, window: float, now: float) -> str:
    """used, unused, reads (only reading was seen where everything is allowed), or unknown: not watched for long enough."""
    if sighting is None:
        return "unknown"
    start = now - window
    is_long = sighting.since <= start
    if sighting.called_at is None or sighting.called_at < start:
        return "unused" if is_long else "unknown"
    has_written = sighting.wrote_at is not None and sighting.wrote_at >= start
    return "reads" if is_long and grant.is_http and not grant.operations and not has_written else "used"


def _of_grants(listed: Sequence[Grant], sightings: Sightings, *, window: float, now: float) -> Iterator[Json]:
    for wanted in ("unused", "reads"):
        for grant in listed:
            sighting = sightings.get((grant.source, grant.target))
            if sighting and verdict(grant, sighting, window=window, now=now) == wanted:
                yield _unused(grant, sighting) if wanted == "unused" else _narrower(grant, sighting)


def _unused(grant: Grant, sighting: Sighting) -> Json:
    last = times.iso(sighting.called_at)
    message = (
        say("{source} last called {target} at {time}", source=grant.source, target=grant.target, time=last)
        if last
        else say("{source} has never called {target}", source=grant.source, target=grant.target)
    )
    hint = say("remove `{target}` from {place}", target=grant.target, place=f"{grant.section}.{grant.source}.needs")
    return _finding("unused", grant, message, hint, count=0, last=last)


def _narrower(grant: Grant, sighting: Sighting) -> Json:
    message = say(
        "{source} only reads from {target} (GET, HEAD, OPTIONS), and may do everything",
        source=grant.source,
        target=grant.target,
    )
    hint = say(
        "write `{{{target}: read}}` in {place}", target=grant.target, place=f"{grant.section}.{grant.source}.needs"
    )
    return _finding("reads", grant, message, hint, count=0, last=times.iso(sighting.called_at))


def _of_refusals(listed: Sequence[Grant], refusals: Sequence[Mapping[str, Any]], *, start: float) -> Iterator[Json]:
    """What was refused, and what would be: a call that an audit let pass is as much in need of a line."""
    known = {(grant.source, grant.target): grant for grant in listed}
    for one in refusals:
        is_of_needs = one.get("kind", "call") == "call"  # tokens and certificates have nothing to do with needs
        if not is_of_needs or datetime.fromisoformat(one["at"]).timestamp() < start:
            continue
        kind = "audit" if one.get("allowed") else "refused"
        grant = known.get((one["source"], one["target"])) or Grant("services", one["source"], one["target"])
        yield _finding(kind, grant, one["message"], one["hint"], count=one["count"], last=one["at"]) | {
            "file": one["file"],
            "line": one["line"],
        }


def _finding(kind: str, grant: Grant, message: str, hint: str, *, count: int, last: str | None) -> Json:
    """`file` and `line` are filled in by who can read the file."""
    return {
        "kind": kind,
        "section": grant.section,
        "source": grant.source,
        "target": grant.target,
        "message": message,
        "hint": hint,
        "count": count,
        "last": last,
        "file": "",
        "line": 0,
    }


def _shown(grant: Grant, sighting: Sighting | None, window: float, now: float) -> Json:
    return {
        "source": grant.source,
        "target": grant.target,
        "verdict": verdict(grant, sighting, window=window, now=now),
        "since": times.iso(sighting.since if sighting else None),
        "called_at": times.iso(sighting.called_at if sighting else None),
        "wrote_at": times.iso(sighting.wrote_at if sighting else None),
    }
