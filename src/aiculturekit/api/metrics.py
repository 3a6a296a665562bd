"""/metrics in the Prometheus text format (exposition format 0.0.4): the platform's own figures, those of each
resource's engine under the names of its usual exporter, then Envoy's as Envoy says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ROWS = (
    ("aic_workload_replicas", "gauge", "Replicas asked for.", "replicas"),
    ("aic_workload_ready", "gauge", "Replicas that are ready.", "ready"),
    ("aic_workload_restarts_total", "counter", "Restarts since the release that runs.", "restarts"),
    ("aic_workload_memory_bytes", "gauge", "Proportional memory of all replicas.", "memory_bytes"),
)

_LATENCY, _MADE = "aic_edge_latency_seconds", "aic_edge_connect_seconds"
_EDGES = (
    ("aic_edge_requests_total", "counter", "Requests answered; for a tcp service, connections.", "requests"),
    ("aic_edge_errors_total", "counter", "Answers of 5xx; for a tcp service, connections that failed.", "errors"),
    ("aic_edge_retries_total", "counter", "Tries after the first.", "retries"),
    ("aic_edge_timeouts_total", "counter", "Requests, or connections being made, given up for their time.", "timeouts"),
    ("aic_edge_resets_total", "counter", "Connections that a tcp service reset.", "resets"),
    ("aic_edge_limited_total", "counter", "Answers of 429.", "limited"),
    ("aic_edge_overflows_total", "counter", "Turned away by the version's breaker, all callers together.", "overflows"),
    ("aic_edge_received_bytes_total", "counter", "Bytes from the service.", "received"),
    ("aic_edge_sent_bytes_total", "counter", "Bytes to the service.", "sent"),
    ("aic_edge_connections", "gauge", "Open connections.", "connections"),
    ("aic_edge_breaker_open", "gauge", "1 while the version's breaker turns requests away.", "breaker_open"),
    ("aic_edge_hosts", "gauge", "Replicas of the version.", "hosts"),
    ("aic_edge_hosts_ejected", "gauge", "Replicas of the version that are left out.", "ejected"),
)


def own(status: Mapping[str, Any]) -> str:
    """The status view as metrics."""
    lines = ["# HELP aic_build_info The version that runs.", "# TYPE aic_build_info gauge"]
    lines.append(f"aic_build_info{_labels({'version': status['version']})} 1")
    for metric, kind, text, figure in _ROWS:
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"]
        lines += _samples(metric, figure, status["workloads"])
    return "\n".join([*lines, *_certificates(status["trust"])]) + "\n"


def _certificates(trust: Mapping[str, Any]) -> list[str]:
    rows = [
        ("aic_certificates", "Certificates of workloads.", trust["certificates"]),
        ("aic_certificate_seconds_left", "Seconds until the first certificate ends.", trust["seconds_left"]),
        ("aic_certificate_renewal_failing", "1 while the last attempt to renew failed.", int(bool(trust["trouble"]))),
    ]
    return [
        line
        for metric, text, value in rows
        if value is not None
        for line in (f"# HELP {metric} {text}", f"# TYPE {metric} gauge", f"{metric} {value}")
    ]


def mesh(edges: Iterable[Mapping[str, Any]]) -> str:
    """The edges view as metrics, with the labels app, source, target and version. Times are those of the last seconds."""
    listed = list(edges)
    lines = []
    for metric, kind, text, figure in _EDGES:
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"]
        lines += [f"{metric}{_edge(row)} {int(row[figure])}" for row in listed if row[figure] is not None]
    lines += [f"# HELP {_LATENCY} Time to answer, over the last sample.", f"# TYPE {_LATENCY} gauge"]
    for share, figure in (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms")):
        lines += [
            f"{_LATENCY}{_edge(row, quantile=share)} {row[figure] / 1000:g}"
            for row in listed
            if row[figure] is not None
        ]
    lines += [
        f"# HELP {_MADE} Time until a connection of a tcp service is made, over the last sample.",
        f"# TYPE {_MADE} gauge",
    ]
    made = [(row, row["connect_p95_ms"]) for row in listed if row["connect_p95_ms"] is not None]
    lines += [f"{_MADE}{_edge(row, quantile='0.95')} {taken / 1000:g}" for row, taken in made]
    return "\n".join(lines) + "\n"


def engines(figures: Iterable[Mapping[str, Any]]) -> str:
    """Figures of resources as metrics: those of one name stand together, as the format demands."""
    named: dict[str, list[Mapping[str, Any]]] = {}
    for figure in figures:
        named.setdefault(figure["name"], []).append(figure)
    lines = []
    for name, listed in named.items():
        lines += [f"# HELP {name} {listed[0]['text']}", f"# TYPE {name} {listed[0]['kind']}"]
        lines += [f"{name}{_labels(figure['labels'])} {figure['value']:.15g}" for figure in listed]
    return "".join(f"{line}\n" for line in lines)


def _edge(row: Mapping[str, Any], **more: str) -> str:
    return _labels({key: row[key] for key in ("app", "source", "target", "version")} | more)


def _samples(metric: str, figure: str, workloads: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"{metric}{_labels({key: row[key] for key in ('app', 'name', 'kind', 'version')})} {row[figure]}"
        for row in workloads
        if row[figure] is not None
    ]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
