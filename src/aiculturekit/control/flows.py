"""How an application's calls flow: figures of its edges over any window, their recent course, and what could be better about `needs`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import advices, phrases
from aiculturekit.control.observations import Observations
from aiculturekit.control.sightings import Sightings
from aiculturekit.control.views import Views
from aiculturekit.errors import AicError
from aiculturekit.mesh import figures
from aiculturekit.mesh.figures import Growth, Place
from aiculturekit.mesh.nodes import Edge
from aiculturekit.plan.documents import Document
from aiculturekit.spec import load

Json = dict[str, Any]
HOUR = 3600.0


class Flows:
    """Reads only. `in_force` are an application's documents, `refusals` its refused calls."""

    def __init__(
        self,
        *,
        views: Views,
        observations: Observations,
        sightings: Sightings,
        in_force: Callable[[str], list[Document]],
        refusals: Callable[[str | None], list[Json]],
    ) -> None:
        self._views, self._observations, self._sightings = views, observations, sightings
        self._in_force, self._refusals = in_force, refusals

    async def edges(self, app: str, *, seconds: float | None = None) -> list[Json]:
        """Every caller -> service version, over the last sample or the last `seconds`. Raises NotFound."""
        await self._views.app(app)
        return [shown(edge) for edge in self._observations.edges(app, seconds=seconds)]

    def ways(self, app: str) -> list[Json]:
        """What holds on the way to each resource for which the file says something."""
        found = [(d.name, d.body["traffic"]) for d in self._in_force(app) if d.kind == "traffic"]
        return [
            {"name": name, "rules": phrases.rules(traffic), "faults": phrases.faults(traffic)}
            for name, traffic in found
        ]

    def of_all(self) -> list[Json]:
        """The edges of every application, as of the last sample."""
        return [shown(edge) for app in self._views.up() for edge in self._observations.edges(app)]

    async def history(self, app: str, *, seconds: float) -> Json:
        """The last `seconds` sample by sample, oldest first: `at` (end, seconds since the epoch), `length`, and for each edge what came per
        second, the share that failed, and p95."""
        await self._views.app(app)
        moments = list(self._observations.series(app, seconds))
        places = sorted({place for _, _, grown in moments for place in grown})
        return {
            "app": app,
            "at": [round(at, 1) for at, _, _ in moments],
            "length": [round(length, 2) for _, length, _ in moments],
            "edges": [_course(place, moments) for place in places],
        }

    async def advice(self, app: str, *, window: float = HOUR) -> Json:
        """What `aic mesh advise` says. Raises NotFound."""
        view = await self._views.app(app)
        documents = self._in_force(app)
        found = advices.advice(documents, self._sightings.of(app), self._refusals(app), window=window, now=time.time())
        if any(not one["line"] for one in found["findings"]):
            lines = await threads.run(_lines, view["file"], view["environment"])
            found["findings"] = [_placed(one, view["file"], lines) for one in found["findings"]]
        return {"app": app} | found


def shown(edge: Edge) -> Json:
    return dataclasses.asdict(edge) | {"meshed": True, "mtls": edge.tls != "none"}


def _course(place: Place, moments: list[tuple[float, float, dict[Place, Growth]]]) -> Json:
    _, source, target, version = place
    grown = [(moment.get(place, Growth()), length) for _, length, moment in moments]
    return {
        "source": source,
        "target": target,
        "version": version,
        "rate": [round(one.requests / length, 2) if length else 0.0 for one, length in grown],
        "error_rate": [round(one.errors / one.requests, 4) if one.requests else 0.0 for one, _ in grown],
        "p95_ms": [figures.percentiles(one.bins if version else {}, [0.95])[0] for one, _ in grown],
    }


def _lines(file: str, environment: str) -> Mapping[tuple[str, str, str], int]:
    """(section, workload, needed service or "") -> the line in the file as it is now; nothing where it can't be read."""
    try:
        application = load.load(Path(file), environment=environment)
    except (AicError, OSError):
        return {}
    found: dict[tuple[str, str, str], int] = {}
    for section, workloads in (("services", application.services), ("jobs", application.jobs)):
        for name, workload in workloads.items():
            found[section, name, ""] = application.place(f"{section}.{name}.needs")[0]
            for at, need in enumerate(workload.needs):
                place = application.places.get((section, name, "needs", at))
                if need.kind == "services" and place:
                    found[section, name, need.name] = place[0]
    return found


def _placed(finding: Json, file: str, lines: Mapping[tuple[str, str, str], int]) -> Json:
    key = (finding["section"], finding["source"])
    line = finding["line"] or lines.get((*key, finding["target"]), 0) or lines.get((*key, ""), 0)
    return finding | {"line": line, "file": finding["file"] or (file if line else "")}
