"""Which permissions are used: when a caller last called a service, and since when anybody has looked. Survives the daemon.

Envoy counts while no daemon runs, so what was called meanwhile is seen at the next start; only while both were gone was nobody
watching, and then the watch begins anew.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Growth, Place, Sample
from aiculturekit.state import settings
from aiculturekit.state.databases import Database

NAME = "sightings"
Pair = tuple[str, str, str]
"""(app, caller, service)."""
SAVE, HEARTBEAT = 60.0, 300.0
"""Seconds between writes while something is called, and while nothing is."""
GAP = 2 * HEARTBEAT
"""Seconds without a write after which the daemon was gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sighting:
    """Times in seconds since the epoch: watched since, last called, last called by a method that does not only read. `calls` and `writes`
    are what Envoy's counters stood at."""

    since: float
    called_at: float | None = None
    wrote_at: float | None = None
    calls: int = 0
    writes: int = 0

    def noted(self, calls: int, writes: int, *, now: float) -> Sighting:
        """A counter that moved was called; one that fell to nothing is one of an Envoy that was started anew."""
        return Sighting(
            self.since,
            called_at=now if calls not in (self.calls, 0) else self.called_at,
            wrote_at=now if writes not in (self.writes, 0) else self.wrote_at,
            calls=calls,
            writes=writes,
        )


class Sightings:
    """One for the daemon; `note` is given every sample."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[Pair, Sighting] = {}
        self._saved: dict[Pair, Sighting] = {}
        self._saved_at: float | None = None
        self._until: float | None = None

    async def open(self) -> None:
        """Take up what the daemon before saw."""
        text = await self._database.run(settings.get, NAME)
        kept = json.loads(text) if text else {}
        self._until = kept.get("until")
        for app, rows in kept.get("apps", {}).items():
            for source, target, *values in rows:
                self._known[app, source, target] = Sighting(*values)

    def of(self, app: str) -> dict[tuple[str, str], Sighting]:
        """(caller, service) -> what is known of each permission that is in force."""
        return {pair[1:]: sighting for pair, sighting in self._known.items() if pair[0] == app}

    async def note(self, sample: Sample, *, now: float) -> None:
        if self._saved_at is None and self._was_blind(sample, now):
            self._known = {pair: dataclasses.replace(one, since=now) for pair, one in self._known.items()}
        self._known = updated(self._known, figures.growths(sample, None), now=now)
        quiet = HEARTBEAT if self._known == self._saved else SAVE
        is_other = self._known.keys() != self._saved.keys()
        if is_other or self._saved_at is None or now - self._saved_at >= quiet:
            await self._save(now)

    async def close(self, *, now: float) -> None:
        """Leave what is known to the next daemon; nothing where nothing was ever noted."""
        if self._saved_at is not None:
            await self._save(now)

    async def _save(self, now: float) -> None:
        apps: dict[str, list[list[object]]] = {}
        for (app, source, target), one in sorted(self._known.items()):
            apps.setdefault(app, []).append([source, target, *dataclasses.astuple(one)])
        await self._database.run(settings.note, NAME, value=json.dumps({"until": now, "apps": apps}))
        self._saved, self._saved_at = dict(self._known), now

    def _was_blind(self, sample: Sample, now: float) -> bool:
        """Whether neither a daemon nor the Envoy of now was there for a while."""
        gap = now - (now if self._until is None else self._until)
        return gap > GAP and sample.counts.get("server.uptime", 0) < gap


def updated(known: Mapping[Pair, Sighting], totals: Mapping[Place, Growth], *, now: float) -> dict[Pair, Sighting]:
    """What is known after a sample. An edge that is new is watched from now on, one that is gone is forgotten."""
    calls: dict[Pair, int] = {}
    writes: dict[Pair, int] = {}
    for (app, source, target, version), total in totals.items():
        pair = (app, source, target)
        calls[pair] = calls.get(pair, 0) + (total.requests if version else total.received + total.sent)
        writes[pair] = total.writes  # counted at the caller's door: the same for every version
    return {
        pair: known.get(pair, Sighting(since=now)).noted(count, writes[pair], now=now) for pair, count in calls.items()
    }
