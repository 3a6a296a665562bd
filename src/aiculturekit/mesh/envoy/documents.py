"""The small parts that every document is made of. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
LOOPBACK = "127.0.0.1"
TEXT = "text/plain; charset=utf-8"
BUFFER = 256 * 1024
"""Bytes that Envoy holds for one slow connection before it makes the fast side wait; its own default is 1 MiB."""

_API = "type.googleapis.com/envoy"


def typed(message: str, /, **fields: Any) -> Json:
    """A message with its type, as in `config.cluster.v3.Cluster`."""
    return {"@type": f"{_API}.{message}", **fields}


def extension(name: str, message: str, /, **fields: Any) -> Json:
    return {"name": f"envoy.{name}", "typed_config": typed(message, **fields)}


def address(port: int, *, host: str = LOOPBACK, namespace: str | None = None) -> Json:
    """`namespace` is the file that keeps the network namespace in which the address is; None for Envoy's own."""
    place = {"network_namespace_filepath": namespace} if namespace else {}
    return {"socket_address": {"address": host, "port_value": port, **place}}


def source(folder: Path, file: str) -> Json:
    """Where a resource is read from; Envoy follows it by watching for a rename over the file."""
    return {"path_config_source": {"path": str(folder / file)}, "resource_api_version": "V3"}


def seconds(value: float | None) -> str:
    """A protobuf duration; None is 0s, which Envoy reads as no limit."""
    return f"{round(value or 0, 3):g}s"


def bundle(resources: Iterable[Json]) -> Json:
    """A discovery response. Its version is a digest of its content, so that one can ask Envoy which content is in
    force."""
    listed = list(resources)
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return {"version_info": hashlib.sha256(text.encode()).hexdigest()[:16], "resources": listed}
