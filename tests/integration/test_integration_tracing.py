"""Traces of the real product in a real Jaeger: ingress -> web -> api, parents and children, and what is not sampled stays away."""

from __future__ import annotations

import itertools
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, application, product
from tests.servers import jaeger

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2000)]
if (missing := jaeger.reason()) and not os.environ.get("CI"):
    pytest.skip(missing, allow_module_level=True)

CODE = """
import json, os, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if url := os.environ.get("API_URL"):
            passed = {name: value for name, value in self.headers.items() if name.lower() in ("traceparent", "tracestate")}
            urllib.request.urlopen(urllib.request.Request(url, headers=passed)).read()
        body = json.dumps({name: os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = """
app: traced
services:
  web: {run: python serve.py, public: /, needs: [api]}
  api: {run: python serve.py}
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[jaeger.Server]:
    with jaeger.running() as server:
        yield server


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Product]:
    application(tmp_path / "app", TEXT)
    (tmp_path / "app" / "serve.py").write_text(CODE)
    with product() as product_:
        yield product_


def up(made: Product, folder: Path, otlp: str | None) -> int:
    made.set(**({"AIC_OTLP": otlp} if otlp else {}))
    made.aic("up", "-d", str(folder))
    return made.ingress


def asked(port: int, **headers: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def complete(collector: jaeger.Server, *, count: int, spans: int) -> list[list[dict[str, Any]]]:
    """All traces of the service `web`, once there are so many, each of so many spans."""
    deadline = time.monotonic() + 60
    while True:
        traces = collector.spans("web")
        if len(traces) >= count and all(len(trace) >= spans for trace in traces):
            return traces
        assert time.monotonic() < deadline, [[span["service"] for span in trace] for trace in traces]
        time.sleep(0.3)


def tag(span: dict[str, Any], key: str) -> Any:
    return next((one["value"] for one in span["tags"] if one["key"] == key), None)


def test_a_request_is_one_trace_from_the_ingress_to_the_last_service(
    collector: jaeger.Server, made: Product, tmp_path: Path
) -> None:
    ingress = up(made, tmp_path / "app", f"http://127.0.0.1:{collector.otlp}?percent=100")
    body = asked(ingress)
    assert f"http://127.0.0.1:{collector.otlp}".encode() in body, "workloads know where to send their own spans"
    [trace] = complete(collector, count=1, spans=4)
    assert {span["traceID"] for span in trace} == {trace[0]["traceID"]}
    chain = sorted(trace, key=lambda span: span["startTime"])
    assert [(span["service"], tag(span, "span.kind")) for span in chain] == [
        ("ingress", "server"), ("web", "server"), ("web", "client"), ("api", "server"),
    ]  # fmt: skip
    parents = {span["spanID"]: [one["spanID"] for one in span["references"]] for span in chain}
    for parent, child in itertools.pairwise(chain):
        assert parents[child["spanID"]] == [parent["spanID"]]
    assert [tag(span, "http.status_code") for span in chain] == ["200"] * 4

    given = "4bf92f3577b34da6a3ce929d0e0e4736"
    asked(ingress, traceparent=f"00-{given}-00f067aa0ba902b7-01")
    traces = complete(collector, count=2, spans=4)
    assert given in {trace[0]["traceID"] for trace in traces}, "a trace that began outside goes on"

    asked(ingress, traceparent="00-11111111111111111111111111111111-00f067aa0ba902b7-00")
    asked(ingress)
    traces = complete(collector, count=3, spans=4)
    assert "1" * 32 not in {trace[0]["traceID"] for trace in traces}, "what its caller does not sample is not reported"


def test_without_a_collector_there_is_no_tracer(made: Product, tmp_path: Path) -> None:
    body = asked(up(made, tmp_path / "app", None))
    assert b'"OTEL_EXPORTER_OTLP_ENDPOINT": null' in body
    mesh = made.home / "mesh"
    for name in ("lds.json", "cds.json"):
        assert "opentelemetry" not in (mesh / name).read_text() and '"otlp"' not in (mesh / name).read_text()


def test_an_address_that_makes_no_sense_is_said_at_the_start(made: Product, tmp_path: Path) -> None:
    made.set(AIC_OTLP="https://collector")
    with pytest.raises(RuntimeError, match="AIC_OTLP"):
        made.aic("server", "start")
