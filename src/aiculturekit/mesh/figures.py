"""Envoy's counters -> what came over every caller -> service version, and what stands between them now. Pure.

A Sample is what the counters stood at, a Growth what they gained between two samples. Growths add up, so the figures of any stretch
of time are those of its growths (`histories` keeps them).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from aiculturekit.mesh.nodes import Edge

PATTERN = (
    r"^(cluster\.(out|beyond|in)/.*\.("
    r"upstream_rq_(completed|5xx|429|time|retry|timeout|(pending|active)_overflow)"
    r"|upstream_cx_(total|active|connect_(fail|timeout|ms)|destroy_remote_with_active_rq|overflow|rx_bytes_total|tx_bytes_total)"
    r"|circuit_breakers\.default\.(rq_open|rq_pending_open|cx_open|remaining_rq)"
    r"|membership_healthy|outlier_detection\.ejections_active|ssl\.(handshake|connection_error|fail_verify_(error|san)))"
    r"|server\.uptime|vhost\.(need|proxy)/.*\.vcluster\.(read|other)\.upstream_rq_total"
    r"|http\.exit\.fault\..*/.*\.aborts_injected)$"
)
"""The figures that this module reads."""

Counts = Mapping[str, int]
Bins = Mapping[float, int]
Place = tuple[str, str, str, str]
"""(app, caller, service, version); the version of a tcp service is "", since its connections are not told apart."""

_HTTP = {
    "requests": "upstream_rq_completed",
    "errors": "upstream_rq_5xx",
    "limited": "upstream_rq_429",
    "retries": "upstream_rq_retry",
    "timeouts": "upstream_rq_timeout",
}
_TCP = {
    "requests": "upstream_cx_total",
    "errors": "upstream_cx_connect_fail",
    "timeouts": "upstream_cx_connect_timeout",
    "resets": "upstream_cx_destroy_remote_with_active_rq",
}
_BOTH = {"received": "upstream_cx_rx_bytes_total", "sent": "upstream_cx_tx_bytes_total", "handshakes": "ssl.handshake"}
_BEYOND = {
    "errors": "upstream_cx_connect_fail",
    "timeouts": "upstream_cx_connect_timeout",
    "handshakes": "ssl.handshake",
}
"""What is counted beyond the tunnel alone, where connections to a tcp service fail on purpose."""
_OVERFLOWS = ("upstream_rq_active_overflow", "upstream_rq_pending_overflow", "upstream_cx_overflow")
_HANDSHAKE_FAILURES = ("ssl.connection_error", "ssl.fail_verify_error", "ssl.fail_verify_san")
_OPEN = ("rq_open", "rq_pending_open", "cx_open")
READ = (
    *_HTTP.values(), *_BOTH.values(), *_OVERFLOWS, *_HANDSHAKE_FAILURES, "upstream_rq_time", "upstream_cx_active",
    *(f"circuit_breakers.default.{name}" for name in (*_OPEN, "remaining_rq")),
)  # fmt: skip
"""What is read of an outbound cluster."""
READ_OF_TCP = (*READ, *_TCP.values(), "upstream_cx_connect_ms")


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What the counters stood at: `at` in seconds of a monotonic clock; `bins` is cluster -> milliseconds -> answers
    so far, of a tcp service connections that were made; `straight` are the clusters that lead to the replicas in one hop, without a
    handshake."""

    at: float
    counts: Counts
    bins: Mapping[str, Bins]
    straight: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """What came over an edge in some time: for a tcp service, `requests` are connections, `errors` those that failed (on purpose, too),
    `timeouts` those among them that took too long to be made, `resets` those that the service reset while they were in use, and `bins` has
    the times until they were made.
    `limited` were answered 429; `overflows` were turned away by the version's breaker, all callers together, since it guards the version;
    `received` and `sent` are bytes as the caller sees them."""

    requests: int = 0
    errors: int = 0
    limited: int = 0
    retries: int = 0
    timeouts: int = 0
    overflows: int = 0
    resets: int = 0
    received: int = 0
    sent: int = 0
    handshakes: int = 0
    handshake_failures: int = 0
    reads: int = 0
    writes: int = 0
    bins: Bins = dataclasses.field(default_factory=dict)

    def __add__(self, other: Growth) -> Growth:
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTED}
        bins = dict(self.bins)
        for bound, count in other.bins.items():
            bins[bound] = bins.get(bound, 0) + count
        return Growth(**counts, bins=bins)

    @property
    def is_nothing(self) -> bool:
        return not any(getattr(self, name) for name in COUNTED)


COUNTED = tuple(field.name for field in dataclasses.fields(Growth) if field.name != "bins")


def sample(answer: Mapping[str, Any], *, at: float, straight: frozenset[str] = frozenset()) -> Sample:
    """A sample from `/stats?format=json&histogram_buckets=detailed`."""
    counts: dict[str, int] = {}
    bins: dict[str, Bins] = {}
    for item in answer["stats"]:
        if "histograms" not in item:
            counts[item["name"].removeprefix("cluster.")] = int(item["value"])
            continue
        for detail in item["histograms"]["details"]:
            cluster = detail["name"].removeprefix("cluster.").rpartition(".")[0]
            bins[cluster] = {float(b["lower_bound"]): int(b["count"]) for b in detail["totals"]}
    return Sample(at, counts, bins, straight)


def places(now: Sample) -> dict[Place, str]:
    """Every edge that there is, with its cluster."""
    clusters = sorted({name[: name.index(".")] for name in now.counts if name.startswith("out/")})
    return {_place(cluster): cluster for cluster in clusters if cluster.count("/") == 4}


def _place(cluster: str) -> Place:
    _, app, source, target, version = cluster.split("/")
    return app, source, target, "" if version == "*" else version


def growths(now: Sample, before: Sample | None) -> dict[Place, Growth]:
    """What each edge gained since `before`; since Envoy started, without it."""
    return {place: _growth(place, cluster, now, before) for place, cluster in places(now).items()}


def _growth(place: Place, cluster: str, now: Sample, before: Sample | None) -> Growth:
    names, inner = _BOTH | (_HTTP if place[3] else _TCP), f"in/{place[0]}/{place[2]}/{place[3]}"
    counts = {field: _gained(f"{cluster}.{name}", now, before) for field, name in names.items()}
    edge = "/".join(place[:3])
    ways = [cluster, f"beyond/{edge}"]
    if not place[3]:
        counts |= {field: counts[field] + _gained(f"{ways[1]}.{name}", now, before) for field, name in _BEYOND.items()}
        counts["errors"] += _gained(f"http.exit.fault.{edge}.aborts_injected", now, before)
    return Growth(
        **counts,
        overflows=sum(_gained(f"{one}.{name}", now, before) for one in (cluster, inner) for name in _OVERFLOWS),
        handshake_failures=sum(_gained(f"{one}.{name}", now, before) for one in ways for name in _HANDSHAKE_FAILURES),
        reads=_asked(place, "read", now, before),
        writes=_asked(place, "other", now, before),
        bins=_new_bins(cluster, now, before),
    )


def _asked(place: Place, kind: str, now: Sample, before: Sample | None) -> int:
    """Tries through the caller's own doors, which are the same for all versions."""
    app, source, target, _ = place
    doors = (f"need/{app}/{source}/{target}", f"proxy/{app}/{source}/{target}")
    return sum(_gained(f"vhost.{door}.vcluster.{kind}.upstream_rq_total", now, before) for door in doors)


def edges(now: Sample, grown: Mapping[Place, Growth], *, seconds: float) -> list[Edge]:
    """One Edge for each outbound cluster; rates and percentiles are over the `seconds` in which it grew, totals since Envoy started."""
    totals = growths(now, None)
    return [
        _edge(place, cluster, now, grown.get(place, Growth()), totals[place], seconds)
        for place, cluster in places(now).items()
    ]


def _edge(place: Place, cluster: str, now: Sample, grown: Growth, total: Growth, seconds: float) -> Edge:
    app, _, target, version = place
    p50, p95, p99 = percentiles(grown.bins if version else {}, [0.5, 0.95, 0.99])
    inner = f"in/{app}/{target}/{version}"
    inners = list(_inners(inner, now))
    ejected = sum(now.counts.get(f"{one}.outlier_detection.ejections_active", 0) for one in inners)
    # Those that are not ready are known to Envoy too where a service is spread over places.
    hosts = ejected + sum(now.counts.get(f"{one}.membership_healthy", 0) for one in inners)
    remaining = now.counts.get(f"{inner}.circuit_breakers.default.remaining_rq")
    return Edge(
        *place,
        rate=_per(grown.requests, seconds),
        error_rate=min(1.0, grown.errors / grown.requests) if grown.requests else 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        connect_p95_ms=percentiles({} if version else grown.bins, [0.95])[0],
        requests=total.requests,
        errors=total.errors,
        ejected=ejected,
        hosts=hosts,
        unserved=hosts == 0 and grown.requests > 0,
        retry_rate=_per(grown.retries, seconds),
        limited_rate=_per(grown.limited, seconds),
        overflow_rate=_per(grown.overflows, seconds),
        timeout_rate=_per(grown.timeouts, seconds),
        retries=total.retries,
        limited=total.limited,
        overflows=total.overflows,
        timeouts=total.timeouts,
        resets=total.resets,
        breaker_open=any(_is_open(one, now) for one in (cluster, inner)),
        remaining=remaining,
        connections=now.counts.get(f"{cluster}.upstream_cx_active", 0),
        received_rate=_per(grown.received, seconds),
        sent_rate=_per(grown.sent, seconds),
        received=total.received,
        sent=total.sent,
        tls="none" if cluster in now.straight else _tls(grown, total),
    )


def _inners(inner: str, now: Sample) -> Iterator[str]:
    """The inbound cluster of the version; of a tcp service, those of all its versions."""
    if not inner.endswith("/"):
        yield inner
        return
    yield from sorted({name[: name.index(".")] for name in now.counts if name.startswith(inner)})


def _is_open(cluster: str, now: Sample) -> bool:
    return any(now.counts.get(f"{cluster}.circuit_breakers.default.{name}") for name in _OPEN)


def _tls(grown: Growth, total: Growth) -> Literal["proven", "failing", "unused"]:
    """What the handshakes between the two identities say."""
    if grown.handshake_failures:
        return "failing"
    return "proven" if total.handshakes else "unused"


def _per(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _gained(name: str, now: Sample, before: Sample | None) -> int:
    """The growth of a counter; one that shrank was started anew."""
    value, old = now.counts.get(name, 0), before.counts.get(name, 0) if before else 0
    return value - old if value >= old else value


def _new_bins(cluster: str, now: Sample, before: Sample | None) -> Bins:
    bins = now.bins.get(cluster, {})
    old = before.bins.get(cluster, {}) if before else {}
    if any(count > bins.get(bound, 0) for bound, count in old.items()):
        return bins
    return {bound: new for bound, count in bins.items() if (new := count - old.get(bound, 0))}


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
            return round(bound + width(bound) * (rank - passed) / count, 3)
        passed += count
    return listed[-1][0]


def width(bound: float) -> float:
    """A bin's width: one in the second significant digit, and a whole millisecond at least."""
    size = 1.0
    while bound >= size * 100:
        size *= 10
    return size
