"""A workload's document -> what the engine is asked to run, with every variable it receives. Pure but for the interpreter's place."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiculturekit.engine.environments import Environment
from aiculturekit.engine.workloads import Container, Key, Limits, Probe, Workload
from aiculturekit.errors import Mistake
from aiculturekit.language import say
from aiculturekit.mesh.nodes import Tracing
from aiculturekit.plan.documents import Document
from aiculturekit.spec.references import expand
from aiculturekit.targets import nodes

MIGRATION = "migrate"
"""The version under which a service's migration runs."""
PASSED_ON = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER"}
)
"""What a workload inherits of the daemon's environment (and LC_*); PATH comes besides. Nothing else leaks in."""


def workload(
    app: str,
    document: Document,
    *,
    environment: Environment,
    variables: Mapping[str, str],
    release: int,
    container: Container | None = None,
) -> Workload:
    """`variables` is the complete environment; PORT is added by the engine for each replica."""
    body = document.body
    return Workload(
        key=key(app, document),
        command=shlex.join(container.arguments) if container else body["run"],
        directory=Path(body["directory"]),
        revision=_revision(body, variables, environment),
        environment=variables,
        kind="service" if document.kind == "workload" else "job",
        replicas=body["scale"]["min"] if "scale" in body else 1,
        readiness=_probe(body.get("readiness")) or Probe(),
        liveness=_probe(body.get("liveness")),
        startup=body.get("startup", body.get("timeout") or 3600.0),
        grace=body.get("grace", 10.0),
        limits=Limits(**body["limits"]),
        schedule=body.get("schedule"),
        release=release,
        zones=tuple(body.get("zones", ())),
        container=container,
    )


def key(app: str, document: Document) -> Key:
    """A migration is a version of its service: it has the service's identity, its needs, and its place among the logs."""
    name, _, version = document.name.partition("/")
    return Key(app, name, MIGRATION if document.kind == "migration" else version or "v1")


def variables(
    app: str,
    document: Document,
    *,
    environment: Environment,
    inherited: Mapping[str, str],
    outputs: Mapping[str, str],
    references: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Later ones win: inherited, the environment built for it, telemetry, what its needs give (`outputs`), what the file says, in which
    `references` has the value of each `${…}`."""
    name, _, version = document.name.partition("/")
    passed = {key: value for key, value in inherited.items() if key in PASSED_ON or key.startswith("LC_")}
    path = ":".join([*(str(folder) for folder in environment.path), inherited.get("PATH", "/usr/bin:/bin")])
    telemetry = {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace={app},service.version={version or 'v1'},deployment.environment.name=local",
    }
    said = {
        key: expand(text, lookup=lambda name: references.get(name, f"${{{name}}}"))
        for key, text in document.body["env"].items()
    }
    return {**passed, **environment.variables, "PATH": path, **telemetry, **outputs, **said}


def exporter(tracing: Tracing | None) -> dict[str, str]:
    """Where a workload's own spans go, in the variables that every OpenTelemetry SDK reads."""
    if tracing is None:
        return {}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": tracing.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def urls(app: str, document: Document, *, ports: Mapping[str, int]) -> dict[str, str]:
    """Service needed -> its URL as this workload alone may use it."""
    name = document.name.partition("/")[0]
    return {
        need["name"]: f"http://127.0.0.1:{ports[nodes.outbound(app, name, need['name'])]}"
        for need in document.body["needs"]
        if need["kind"] == "services"
    } | {
        need["name"]: f"http://127.0.0.1:{ports[nodes.remote(app, name, nodes.remote_of(need['url']))]}"
        for need in document.body["needs"]
        if need["kind"] == "mesh"
    }


def stand_ins(text: str) -> dict[str, tuple[str, int]]:
    """`https://api.example.com=127.0.0.1:9443 tcp://…=…`: what answers in the place of a need that lies outside. Raises Mistake."""
    found = {}
    for item in text.split():
        need, _, place = item.rpartition("=")
        host, _, port = place.rpartition(":")
        if "://" not in need or not host or not port.isdigit():
            raise Mistake(
                say("AIC_STAND_INS: {item} is not NEED=HOST:PORT", item=item),
                hint=say("write https://api.example.com=127.0.0.1:9443, several with spaces in between"),
            )
        found[need.lower()] = (host, int(port))
    return found


def variable(name: str) -> str:
    """`order-service` -> `ORDER_SERVICE_URL`."""
    return f"{name.upper().replace('-', '_')}_URL"


def _probe(body: Mapping[str, Any] | None) -> Probe | None:
    return Probe(**body) if body else None


def _revision(body: Mapping[str, Any], variables: Mapping[str, str], environment: Environment) -> str:
    """A digest of all that must restart a process: not the scale, which only changes how many there are."""
    kept = {key: value for key, value in body.items() if key not in ("scale", "declared", "needs")}
    text = json.dumps([kept, sorted(variables.items()), environment.digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
