"""The mesh's figures in the Prometheus text format."""

from __future__ import annotations

import re

from aiculturekit.api import metrics
from aiculturekit.control import flows
from aiculturekit.mesh.nodes import Edge


def test_every_edge_is_a_sample_of_each_metric() -> None:
    http = Edge("shop", "web", "pay", "v1", requests=7, errors=1, p95_ms=20.0, hosts=2, ejected=1, breaker_open=True)
    tcp = Edge("shop", "web", "db", "", requests=1, sent=4096)
    text = metrics.mesh([flows.shown(http), flows.shown(tcp)])
    labels = 'app="shop",source="web",target="pay",version="v1"'
    assert f"aic_edge_requests_total{{{labels}}} 7\n" in text
    assert f"aic_edge_breaker_open{{{labels}}} 1\n" in text
    assert f'aic_edge_latency_seconds{{{labels},quantile="0.95"}} 0.02\n' in text
    assert 'aic_edge_sent_bytes_total{app="shop",source="web",target="db",version=""} 4096\n' in text
    assert "None" not in text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} [0-9.e+-]+', line) for line in samples)


def test_without_an_edge_there_is_still_a_valid_text() -> None:
    assert all(line.startswith("# ") for line in metrics.mesh([]).splitlines())
