"""The Kubernetes objects that every renderer for a cluster begins with: names, labels, Services. Pure."""

from __future__ import annotations

import re
from typing import Any

from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rendering import Manifest, Place

_APP_PROTOCOLS = {"http": "http", "http2": "kubernetes.io/h2c", "tcp": "tcp"}
"""Kubernetes' own words (KEP-3726) where it has one."""


def made(
    api: str,
    kind: str,
    *,
    name: str,
    app: str,
    place: Place,
    spec: dict[str, Any],
    annotations: dict[str, str] | None = None,
) -> Manifest:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": place.namespace,
        "labels": {"app.kubernetes.io/managed-by": "aic", "app.kubernetes.io/part-of": app},
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def services(service: Service, *, place: Place, annotations: dict[str, str] | None = None) -> list[Manifest]:
    """The Service that callers name, and one for each version where there are several: a route's weights need something to name."""
    main = _service(service, service.name, {"app": service.name}, place, annotations)
    if len(service.versions) < 2:
        return [main]
    return [
        main,
        *(
            _service(
                service, backend(service, one.name), {"app": service.name, "version": one.name}, place, annotations
            )
            for one in service.versions
        ),
    ]


def backend(service: Service, version: str) -> str:
    """The name of the Service that has a version's pods behind it."""
    return service.name if len(service.versions) < 2 else f"{service.name}-{version}"


def _service(
    service: Service, name: str, selector: dict[str, str], place: Place, annotations: dict[str, str] | None
) -> Manifest:
    port = {
        "name": "tcp" if service.protocol == "tcp" else "http",
        "port": place.port_of(service.name),
        "targetPort": place.port_of(service.name),
        "protocol": "TCP",
        "appProtocol": _APP_PROTOCOLS[service.protocol],
    }
    spec = {"selector": selector, "ports": [port]}
    return made("v1", "Service", name=name, app=service.app, place=place, spec=spec, annotations=annotations)


def duration(seconds: float | None) -> str:
    """As GEP-2257 writes it: at most five digits of each unit. None is 0s, which every API here reads as no limit."""
    whole = round((seconds or 0) * 1000)
    if whole <= 99_999 and whole % 1000:
        return f"{whole}ms"
    parts = [(whole // 3_600_000, "h"), (whole // 1000 % 3600, "s"), (whole % 1000, "ms")]
    if whole < 99_999_000:
        parts = [(whole // 1000, "s"), (whole % 1000, "ms")]
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"


def escaped(text: str) -> str:
    """A regular expression (RE2, Rust) for exactly this text."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
