"""A real Jaeger for tests: v2, built once from source with Go (some minutes) into the user's cache, on free loopback ports.

Its checksums are those of the module's own go.sum: the checksum database lacks one of its dependencies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "1.76.0"
_MODULE = "github.com/jaegertracing/jaeger"
_GO_MOD = f"""\
module example.invalid/jaegerbuild

go 1.25

require {_MODULE} v{VERSION}

replace github.com/Shopify/sarama => github.com/Shopify/sarama v1.33.0
"""
_BUILD_TIME = 1800


@dataclasses.dataclass(frozen=True)
class Server:
    otlp: int
    query: int

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.query}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def spans(self, service: str) -> list[list[dict[str, Any]]]:
        """Each trace in which the service has a span: its spans, with the `service` of each."""
        traces = self.ask(f"/api/traces?service={service}&limit=1000")["data"]
        return [
            [span | {"service": trace["processes"][span["processID"]]["serviceName"]} for span in trace["spans"]]
            for trace in traces
        ]


def reason() -> str | None:
    """Why there is none on this machine, or None."""
    if _binary().is_file() or shutil.which("go"):
        return None
    return "needs Jaeger, which is built with Go (https://go.dev/dl/)"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A Jaeger that keeps traces in memory, ready; built first where it was not yet."""
    binary = built()
    with tempfile.TemporaryDirectory(prefix="aic-jaeger-") as name:
        folder = Path(name)
        ports = _free_ports(5)
        (folder / "jaeger.yaml").write_text(configuration(*ports))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binary, "--config", folder / "jaeger.yaml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        server = Server(otlp=ports[0], query=ports[1])
        try:
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _binary() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "aiculturekit" / "servers" / f"jaeger-{VERSION}"


def built() -> Path:
    """The program, which needs nothing beside it."""
    binary = _binary()
    if binary.is_file():
        return binary
    folder = binary.with_name(f"{binary.name}.build")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(_GO_MOD)
    _go(folder, "mod", "download", f"{_MODULE}@v{VERSION}")
    place = Path(_go(folder, "list", "-mod=mod", "-m", "-f", "{{.Dir}}", _MODULE).strip())
    (folder / "go.sum").write_bytes((place / "go.sum").read_bytes())
    draft = folder / "jaeger"
    _go(folder, "build", "-mod=mod", "-ldflags=-s -w", "-o", str(draft), f"{_MODULE}/cmd/jaeger")
    draft.replace(binary)
    return binary


def _go(folder: Path, *words: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        ["go", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=_BUILD_TIME, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"go {' '.join(words)}: {done.stderr[-2000:]}")
    return done.stdout


def configuration(otlp: int, query: int, *others: int, host: str = "127.0.0.1") -> str:
    grpc, grpc_query, health = others
    return json.dumps(
        {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "processors": [], "exporters": ["jaeger_storage_exporter"]}
                },
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            },
            "extensions": {
                "healthcheckv2": {"use_v2": True, "http": {"endpoint": f"{host}:{health}"}},
                "jaeger_storage": {"backends": {"mem": {"memory": {"max_traces": 10000}}}},
                "jaeger_query": {
                    "storage": {"traces": "mem"},
                    "http": {"endpoint": f"{host}:{query}"},
                    "grpc": {"endpoint": f"{host}:{grpc_query}"},
                },
            },
            "receivers": {
                "otlp": {
                    "protocols": {
                        "http": {"endpoint": f"{host}:{otlp}"},
                        "grpc": {"endpoint": f"{host}:{grpc}"},
                    }
                }
            },
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "mem"}},
        }
    )


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.otlp), 1):
            server.ask("/api/services")
            return
        time.sleep(0.05)
    raise RuntimeError(log.read_text("utf-8", "replace"))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
