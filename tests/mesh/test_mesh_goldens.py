"""Node in, Envoy's files out: each file in goldens/ holds both. `AIC_GOLDENS=write` writes the output anew, to be read in the diff."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from aiculturekit.mesh import envoy
from aiculturekit.mesh.nodes import Caller, Egress, Entry, Node, Replica, Service, Tracing

FOLDER = Path(__file__).parent / "goldens"
GOLDENS = sorted(FOLDER.glob("*.json"))


def node(record: dict[str, Any]) -> Node:
    return Node(
        ingress_port=record["ingress_port"],
        services=tuple(service(one) for one in record.get("services", [])),
        callers=tuple(Caller(**one) for one in record.get("callers", [])),
        entries=tuple(Entry(**one) for one in record.get("entries", [])),
        tracing=Tracing(**record["tracing"]) if "tracing" in record else None,
        egresses=tuple(TypeAdapter(Egress).validate_python(one) for one in record.get("egresses", [])),
    )


def service(record: dict[str, Any]) -> Service:
    return TypeAdapter(Service).validate_python(record)


def replica(record: Any) -> Any:
    return Replica(**record) if isinstance(record, dict) else record


def compiled(golden: dict[str, Any]) -> dict[str, Any]:
    ports = {tuple(name.split("/")): tuple(map(replica, listed)) for name, listed in golden.get("ports", {}).items()}
    files = envoy.compile(node(golden["node"]), folder=Path("/m"), admin=Path("/m/admin.sock"), ports=ports)  # type: ignore[arg-type]
    return {name: document for name, document in sorted(files.items()) if name.startswith(tuple(golden["shown"]))}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_the_files_are_as_they_were(path: Path) -> None:
    golden = json.loads(path.read_text())
    found = compiled(golden)
    if os.environ.get("AIC_GOLDENS") == "write":
        path.write_text(json.dumps(golden | {"files": found}, indent=1) + "\n")
    assert found == golden["files"]


def test_there_are_goldens() -> None:
    assert len(GOLDENS) >= 4


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_the_same_node_gives_the_same_bytes(path: Path) -> None:
    golden = json.loads(path.read_text())
    assert json.dumps(compiled(golden)) == json.dumps(compiled(golden))


def test_fields_of_a_node_are_all_known_here() -> None:
    """A field that is added to a value must be added to a golden too."""
    known = {"app", "name", "versions", "callers", "operations", "traffic", "access", "protocol"}
    assert {field.name for field in dataclasses.fields(Service)} == known
