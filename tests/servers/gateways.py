"""A real implementation of the Gateway API for tests: Istio's controller, which watches a real Kubernetes API and writes into every Gateway
and route what it thinks of it. There are no pods, so nothing is served."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.servers import istio
from tests.servers.kubernetes import Server, free_ports, stop

KINDS = ("Gateway", "HTTPRoute", "TCPRoute")
_HOSTNAME = "AddressNotUsable"
"""Why a Gateway without a deployment is not programmed, which only its pods could change."""


@contextlib.contextmanager
def controller(server: Server, *, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """It runs; whether it is done with something, `opinions` waits for. Raises Missing."""
    program = istio.binaries() / "pilot-discovery"
    istio.authority(folder / "ca")
    (folder / "mesh.yaml").write_text(yaml.safe_dump(istio.MESH))
    changes = {"PILOT_ENABLE_GATEWAY_API": "true", "ROOT_CA_DIR": str(folder / "ca"), "POD_NAME": "istiod-0"}
    with (folder / "istiod.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "discovery", *_flags(server, folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **istio.ENVIRONMENT, **changes},
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def _flags(server: Server, folder: Path) -> list[str]:
    names = ("httpAddr", "httpsAddr", "grpcAddr", "secureGRPCAddr", "monitoringAddr")
    return [
        "--registries=Kubernetes",
        f"--kubeconfig={server.kubeconfig}",
        f"--meshConfig={folder / 'mesh.yaml'}",
        "--networksConfig=/nonexistent",
        *(f"--{name}=127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)),
        "--ctrlz_address=127.0.0.1",
        "--ctrlz_port=0",
    ]


def complaints(
    server: Server, documents: Iterable[Mapping[str, Any]], *, process: subprocess.Popen[bytes], seconds: float = 120
) -> dict[str, list[str]]:
    """What the controller holds against each, once it has looked at all of them as they stand now."""
    asked = [document for document in documents if document["kind"] in KINDS]
    end = time.monotonic() + seconds
    while True:
        found = {_name(document): _conditions(server.get(document)) for document in asked}
        waiting = [name for name, conditions in found.items() if not conditions]
        if not waiting:
            return {name: _held(conditions) for name, conditions in found.items() if _held(conditions)}
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the controller said nothing about {waiting[:5]}")
        time.sleep(0.5)


def _name(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{metadata['namespace']}/{document['kind']}/{metadata['name']}"


def _conditions(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All of the newest generation; none when something is older."""
    status = document.get("status", {})
    found = [*status.get("conditions", ())]
    for inner in (*status.get("parents", ()), *status.get("listeners", ())):
        found += inner["conditions"]
    known = [one for one in found if one["reason"] != "Pending"]
    is_old = any(one.get("observedGeneration") != document["metadata"]["generation"] for one in known)
    return [] if is_old or len(known) < len(found) else known


def _held(conditions: list[Mapping[str, Any]]) -> list[str]:
    good = {"Conflicted": "False"}
    return [
        f"{one['type']}: {one['message']}"
        for one in conditions
        if one["status"] != good.get(one["type"], "True") and one["reason"] != _HOSTNAME
    ]
