"""A delivery's record: all that the next daemon needs to carry it on, and all that a page shows of it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from aiculturekit.control import times
from aiculturekit.control.verdicts import Course, Reading, Stage, Terms
from aiculturekit.language import say
from aiculturekit.mesh.windows import Tally
from aiculturekit.plan import objectives
from aiculturekit.plan.deliveries import HEADER, Delivery, Move
from aiculturekit.plan.documents import Document

Kind = Literal["canary", "blue-green"]
State = Literal["running", "finishing", "returning", "done", "back", "failed", "dropped"]
UNDER_WAY = ("running", "finishing", "returning")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """`delivery` is the documents, `course` the stages; `base` is the release that is gone back to, `releases` those that were made on
    the way. `sentence` is what is the case, for people. Times are seconds since the epoch."""

    kind: Kind
    delivery: Delivery
    course: Course
    slo: str
    terms: Terms
    author: str
    reason: str
    environment: str
    file: str
    text: str = dataclasses.field(repr=False)
    sources: Mapping[str, str] = dataclasses.field(repr=False, hash=False)
    base: int
    started_at: float
    since: float
    sentence: str = ""
    state: State = "running"
    releases: tuple[int, ...] = ()
    ended_at: float | None = None
    operation: str = ""
    revision: str = ""
    committed_at: float | None = None

    @property
    def app(self) -> str:
        return self.delivery.app

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, from which `from_dict` makes the same record again."""
        kept = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("delivery", "course", "terms")
        }
        return kept | {
            "sources": dict(self.sources),
            "releases": list(self.releases),
            "app": self.app,
            "before": [document.as_dict() for document in self.delivery.before],
            "wanted": [document.as_dict() for document in self.delivery.wanted],
            "moves": [dataclasses.asdict(move) for move in self.delivery.moves],
            "has_preview": self.delivery.has_preview,
            "stages": [dataclasses.asdict(stage) for stage in self.course.stages],
            "at": self.course.at,
            "least": self.terms.least,
            "patience": self.terms.patience,
        }


_OWN = frozenset(
    {"app", "before", "wanted", "moves", "has_preview", "stages", "at", "least", "patience", "releases"},
)


def from_dict(record: Mapping[str, Any]) -> Record:
    documents = {
        name: tuple(Document.from_dict(document) for document in record[name]) for name in ("before", "wanted")
    }
    return Record(
        **{name: value for name, value in record.items() if name not in _OWN},
        releases=tuple(record["releases"]),
        delivery=Delivery(
            record["app"],
            **documents,
            moves=tuple(Move(**move) for move in record["moves"]),
            has_preview=record["has_preview"],
        ),
        course=Course(tuple(Stage(**stage) for stage in record["stages"]), at=record["at"]),
        terms=Terms(objectives.parse(record["slo"]), least=record["least"], patience=record["patience"]),
    )


def name(record: Record) -> str:
    """`canary of web, api`."""
    what = say("canary") if record.kind == "canary" else say("blue/green")
    return say("{what} of {services}", what=what, services=", ".join(move.service for move in record.delivery.moves))


def head(record: Record) -> str:
    """`canary of web, 25%`: how the reason of a step's release begins."""
    return say("{what}, {weight:g}%", what=name(record), weight=record.course.stage.weight)


def entered(record: Record) -> str:
    """What is the case when a stage has just begun."""
    stage = record.course.stage
    rule = record.slo if stage.judged else say("no objective")
    if stage.lasts is None:
        return say("the new version is up; `aic promote` gives it the requests ({rule})", rule=rule)
    return say(
        "{weight:g}% of the requests for {seconds:g} s ({rule})", weight=stage.weight, seconds=stage.lasts, rule=rule
    )


def view(record: Record, *, readings: tuple[Reading, ...] = ()) -> dict[str, Any]:
    """The shape that the API, the command line and the console show."""
    course = record.course
    return {
        "app": record.app,
        "kind": record.kind,
        "state": record.state,
        "sentence": record.sentence,
        "slo": record.slo,
        "min_requests": record.terms.least,
        "patience_s": record.terms.patience,
        "services": [
            {"service": m.service, "version": m.version, "temporary": m.is_temporary} for m in record.delivery.moves
        ],
        "steps": [
            {"weight": stage.weight, "lasts_s": stage.lasts, "state": _stage_state(record, at)}
            for at, stage in enumerate(course.stages)
        ],
        "weight": course.stage.weight,
        "preview": f"{HEADER}: {record.app}" if record.delivery.has_preview else None,
        "figures": [row for reading in readings for row in _rows(reading)],
        "author": record.author,
        "reason": record.reason,
        "file": record.file,
        "releases": list(record.releases),
        "operation": record.operation,
        "started_at": times.iso(record.started_at),
        "since": times.iso(record.since),
        "ended_at": times.iso(record.ended_at),
    }


def _stage_state(record: Record, at: int) -> str:
    if record.state in ("finishing", "done") or at < record.course.at:
        return "done"
    return "now" if at == record.course.at and record.state == "running" else "next"


def _rows(reading: Reading) -> list[dict[str, Any]]:
    return [_row(reading.service, "new", reading.stage), _row(reading.service, "stable", reading.stable)]


def _row(service: str, side: str, tally: Tally) -> dict[str, Any]:
    p50, p95, p99 = (tally.percentile(share) for share in objectives.SHARES.values())
    return {
        "service": service,
        "side": side,
        "requests": tally.requests,
        "errors": tally.errors,
        "error_rate": tally.error_share / 100,
        "rate": tally.rate,
        "seconds": round(tally.seconds, 1),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
    }
