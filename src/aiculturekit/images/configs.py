"""An image's configuration and manifest as documents. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.images import descriptors, pythons
from aiculturekit.images.bases import Base
from aiculturekit.images.descriptors import MANIFEST, Descriptor
from aiculturekit.images.facts import Facts
from aiculturekit.images.languages import Language
from aiculturekit.images.tars import Layer

USER = "65532:65532"
"""Nobody's account anywhere: the number that distroless images call nonroot."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ANY = {"HOST": "0.0.0.0", "UVICORN_HOST": "0.0.0.0", "FLASK_RUN_HOST": "0.0.0.0", "HOME": "/tmp"}  # noqa: S104, S108
"""On this machine a server listens on loopback; in a container nobody would reach it there."""


def environment(base: Mapping[str, Any], *, language: Language, port: int | None, facts: Facts) -> dict[str, str]:
    """The base's variables, and what our layers need; later ones win."""
    found = dict(text.split("=", 1) for text in (base.get("config") or {}).get("Env") or ())
    path = found.get("PATH", PATH)
    found |= _ANY | ({"PORT": str(port)} if port is not None else {})
    if language == "python" and facts.python:
        own = {"VIRTUAL_ENV": f"/{pythons.VENV}", "PATH": f"/{pythons.VENV}/bin:{path}"}
        return found | own | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if language == "node":
        return found | {"NODE_ENV": "production", "PATH": f"/app/node_modules/.bin:{path}"}
    return found | {"PATH": path}


def config(
    base: Base,
    layers: Sequence[Layer],
    *,
    command: Sequence[str],
    variables: Mapping[str, str],
    port: int | None,
    health: Mapping[str, Any] | None,
    labels: Mapping[str, str],
    epoch: int,
) -> dict[str, Any]:
    """What a runtime reads. Nothing of the base's own command remains; its labels do."""
    about: dict[str, Any] = {
        "User": USER,
        "WorkingDir": "/app",
        "Env": [f"{name}={value}" for name, value in sorted(variables.items())],
        "Cmd": list(command),
        "Labels": {**((base.config.get("config") or {}).get("Labels") or {}), **labels},
        "StopSignal": "SIGTERM",
    }
    about |= {"ExposedPorts": {f"{port}/tcp": {}}} if port is not None else {}
    about |= {"Healthcheck": dict(health)} if health else {}
    return {
        "architecture": base.config["architecture"],
        "os": base.config["os"],
        **({"variant": base.config["variant"]} if base.config.get("variant") else {}),
        "created": descriptors.moment(epoch),
        "config": about,
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in (*base.layers, *layers)]},
        **_history(base, layers, epoch),
    }


def _history(base: Base, layers: Sequence[Layer], epoch: int) -> dict[str, Any]:
    """Only where the base tells its own: one that does not fit the layers is worse than none."""
    told = list(base.config.get("history") or ())
    if sum(not one.get("empty_layer") for one in told) != len(base.layers):
        return {}
    own = [{"created": descriptors.moment(epoch), "created_by": f"aic build: {one.title}"} for one in layers]
    return {"history": [*told, *own]}


def manifest(config: Descriptor, layers: Sequence[Layer], *, base: Base) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.as_dict(),
        "layers": [one.descriptor.as_dict() for one in (*base.layers, *layers)],
        "annotations": {"org.opencontainers.image.base.digest": base.digest, **_name(base)},
    }


def _name(base: Base) -> dict[str, str]:
    """A folder of this machine is no name that means something elsewhere."""
    return {} if base.is_layout else {"org.opencontainers.image.base.name": base.reference}


def attachment(content: Descriptor, *, subject: Descriptor, empty: Descriptor) -> dict[str, Any]:
    """A manifest that hangs something on an image: OCI 1.1, "guidelines for artifact usage"."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": content.media_type,
        "config": {**empty.as_dict(), "data": "e30="},
        "layers": [content.as_dict()],
        "subject": subject.as_dict(),
    }
