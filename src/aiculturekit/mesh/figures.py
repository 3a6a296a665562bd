"""Envoy's counters -> the live figures of every caller -> service version. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from aiculturekit.mesh.nodes import Edge

PATTERN = (
    r"^cluster\.(out|in)/.*\.(upstream_rq_(completed|5xx|time)|upstream_cx_(total|connect_fail)|ejections_active)$"
)
"""The figures that `edges` reads."""

Counts = Mapping[str, int]
Bins = Mapping[float, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What the counters stood at: `at` in seconds of a monotonic clock; `bins` is cluster -> milliseconds -> answers
    so far."""

    at: float
    counts: Counts
    bins: Mapping[str, Bins]


def sample(answer: Mapping[str, Any], *, at: float) -> Sample:
    """A sample from `/stats?format=json&histogram_buckets=detailed`."""
    counts: dict[str, int] = {}
    bins: dict[str, Bins] = {}
    for item in answer["stats"]:
        if "histograms" not in item:
            counts[item["name"].removeprefix("cluster.")] = int(item["value"])
            continue
        for detail in item["histograms"]["details"]:
            cluster = detail["name"].removeprefix("cluster.").removesuffix(".upstream_rq_time")
            bins[cluster] = {float(b["lower_bound"]): int(b["count"]) for b in detail["totals"]}
    return Sample(at, counts, bins)


def edges(now: Sample, before: Sample | None) -> list[Edge]:
    """One Edge for each outbound cluster; rates and percentiles are over the time between the samples, totals since
    Envoy started."""
    clusters = sorted({name.rpartition(".")[0] for name in now.counts if name.startswith("out/")})
    return [_edge(cluster, now, before) for cluster in clusters if cluster.count("/") == 4]


def _edge(cluster: str, now: Sample, before: Sample | None) -> Edge:
    _, app, source, target, version = cluster.split("/")
    is_tcp = version == "*"
    asked, failed = (
        ("upstream_cx_total", "upstream_cx_connect_fail") if is_tcp else ("upstream_rq_completed", "upstream_rq_5xx")
    )
    requests, errors = (now.counts.get(f"{cluster}.{name}", 0) for name in (asked, failed))
    new, new_errors = (_gained(f"{cluster}.{name}", now, before) for name in (asked, failed))
    window = now.at - before.at if before else 0.0
    p50, p95, p99 = percentiles(_new_bins(cluster, now, before), [0.5, 0.95, 0.99])
    return Edge(
        app,
        source,
        target,
        version="" if is_tcp else version,
        rate=new / window if window > 0 else 0.0,
        error_rate=min(1.0, new_errors / new) if new else 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        requests=requests,
        errors=errors,
        ejected=now.counts.get(f"in/{app}/{target}/{version}.outlier_detection.ejections_active", 0),
    )


def _gained(name: str, now: Sample, before: Sample | None) -> int:
    """The growth of a counter; one that shrank was started anew."""
    if before is None:
        return 0
    value, old = now.counts.get(name, 0), before.counts.get(name, 0)
    return value - old if value >= old else value


def _new_bins(cluster: str, now: Sample, before: Sample | None) -> Bins:
    bins = now.bins.get(cluster, {})
    old = before.bins.get(cluster, {}) if before else {}
    if any(count > bins.get(bound, 0) for bound, count in old.items()):
        return bins
    return {bound: count - old.get(bound, 0) for bound, count in bins.items()}


def percentiles(bins: Bins, wanted: Iterable[float]) -> list[float | None]:
    """Milliseconds below which each wanted share of the answers lies; None for no answers.

    Envoy counts whole milliseconds in bins of two significant digits (circllhist); within a bin the answers are taken
    as evenly spread, so an answer counted as 0 ms is half a millisecond on average.
    """
    listed = sorted((bound, count) for bound, count in bins.items() if count > 0)
    total = sum(count for _, count in listed)
    return [_percentile(listed, share * total) if total else None for share in wanted]


def _percentile(listed: list[tuple[float, int]], rank: float) -> float:
    passed = 0
    for bound, count in listed:
        if passed + count >= rank:
            return round(bound + _width(bound) * (rank - passed) / count, 3)
        passed += count
    return listed[-1][0]


def _width(bound: float) -> float:
    """A bin's width: one in the second significant digit, and a whole millisecond at least."""
    width = 1.0
    while bound >= width * 100:
        width *= 10
    return width
