"""/metrics in the Prometheus text format (exposition format 0.0.4): the platform's own figures, then Envoy's as Envoy says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ROWS = (
    ("aic_workload_replicas", "gauge", "Replicas asked for.", "replicas"),
    ("aic_workload_ready", "gauge", "Replicas that are ready.", "ready"),
    ("aic_workload_restarts_total", "counter", "Restarts since the release that runs.", "restarts"),
    ("aic_workload_memory_bytes", "gauge", "Proportional memory of all replicas.", "memory_bytes"),
)


def own(status: Mapping[str, Any]) -> str:
    """The status view as metrics."""
    lines = ["# HELP aic_build_info The version that runs.", "# TYPE aic_build_info gauge"]
    lines.append(f"aic_build_info{_labels({'version': status['version']})} 1")
    for metric, kind, text, figure in _ROWS:
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} {kind}"]
        lines += _samples(metric, figure, status["workloads"])
    return "\n".join(lines) + "\n"


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
