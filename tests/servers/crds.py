"""The definitions that rendered documents are checked against: the Gateway API's own, from its Go module (kept in Go's cache by version),
and Linkerd's, written down in linkerd_crds.yaml from its reference (2026-08): neither its charts nor its servers are in a package index."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
import yaml

GATEWAY_API = "v1.6.0"
_LINKERD = Path(__file__).with_name("linkerd_crds.yaml")
Definition = Mapping[str, Any]


@cache
def missing() -> str:
    """Why the Gateway API's definitions can't be had here; empty when they can."""
    if shutil.which("go") is None:
        return "go fetches the Gateway API's definitions, and is not installed"
    try:
        _module()
    except subprocess.CalledProcessError as error:
        return f"the Gateway API's definitions can't be fetched: {error.stderr[-300:]}"
    return ""


@cache
def _module() -> Path:
    command = ["go", "mod", "download", "-json", f"sigs.k8s.io/gateway-api@{GATEWAY_API}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", timeout=120)
    return Path(json.loads(answer.stdout)["Dir"])


@cache
def gateway_api(channel: Literal["standard", "experimental"] = "standard") -> tuple[Definition, ...]:
    folder = _module() / "config" / "crd" / channel
    files = sorted(file for file in folder.glob("gateway.networking.k8s.io_*.yaml") if "_vap_" not in file.name)
    return tuple(yaml.safe_load(file.read_text()) for file in files)


@cache
def linkerd() -> tuple[Definition, ...]:
    return tuple(yaml.safe_load_all(_LINKERD.read_text()))


def mistakes(document: Mapping[str, Any], definitions: tuple[Definition, ...]) -> list[str]:
    """What is wrong with a document of a defined kind, unknown keys included; a kind that is not defined is a mistake too."""
    group, _, version = document["apiVersion"].rpartition("/")
    for definition in definitions:
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, document["kind"]):
            for one in spec["versions"]:
                if one["name"] == version and one["served"]:
                    found = _validator(f"{group}/{version}/{document['kind']}", definition, one).iter_errors(
                        dict(document)
                    )
                    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]
    return [f"{document['apiVersion']} {document['kind']} is not defined"]


_VALIDATORS: dict[tuple[str, int], jsonschema.Draft202012Validator] = {}


def _validator(name: str, definition: Definition, version: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    """Made once for each version of a definition, which lives as long as the tests."""
    key = name, id(definition)
    if key not in _VALIDATORS:
        _VALIDATORS[key] = jsonschema.Draft202012Validator(_strict(version["schema"]["openAPIV3Schema"]))
    return _VALIDATORS[key]


def _strict(schema: Any) -> Any:
    """The schema with unknown keys refused, as the API server's strict validation does; metadata is its own matter."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items() if key != "pattern" or "\\x60" not in str(value)}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        is_object = schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields")
        made |= {"additionalProperties": False} if is_object else {}
    if schema == {"type": "object"}:
        return {"type": "object"}
    return made


PROMETHEUS_OPERATOR = "v0.85.0"


@cache
def prometheus_operator() -> tuple[Definition, ...]:
    """Of monitors and rules, from its Go module."""
    command = [
        "go",
        "mod",
        "download",
        "-json",
        f"github.com/prometheus-operator/prometheus-operator@{PROMETHEUS_OPERATOR}",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", timeout=120)
    folder = Path(json.loads(answer.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
    names = ("podmonitors", "prometheusrules", "servicemonitors")
    return tuple(yaml.safe_load((folder / f"monitoring.coreos.com_{name}.yaml").read_text()) for name in names)
