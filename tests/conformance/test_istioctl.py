"""Istio's own checkers about everything that is rendered: each case, and the example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.mesh import istio as rendering
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place
from tests.conformance import test_conformance  # noqa: F401  (its modules declare the cases)
from tests.conformance.cases import CASES
from tests.conformance.stages import node
from tests.servers import istio
from tests.servers.needs import built

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
_KNOWN = (
    "EnvoyFilter exposes internal implementation details",  # said of each one, whatever stands in it
    "will deny all traffic to TCP ports",  # the gateway has none
    "ServiceEntry addresses are required for this protocol",  # its name is looked up: whoever dials the port gets there
)
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    built(istio.binaries)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases and the example, each in a namespace and behind a host of its own."""
    path = tmp_path_factory.mktemp("rendered") / "all.yaml"
    documents = [document for name, given in _nodes(path.parent) for document in _documents(name, given)]
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _nodes(folder: Path) -> Iterator[tuple[str, Node]]:
    for at, one in enumerate(CASES):
        for name, text in one.files.items():
            (folder / name).write_text(text)
        yield f"case-{at}", node(one.text, folder=folder)
    yield "shop", node(SHOP.read_text(), folder=SHOP.parent)


def _documents(namespace: str, given: Node) -> Iterator[Manifest]:
    yield from rendering.render(given, place=Place(namespace, hosts=(f"{namespace}.example",)))
    yield from _cluster(namespace, given)


def _cluster(namespace: str, given: Node) -> Iterator[Manifest]:
    """What the rules refer to, as the cluster would hold it: the namespace, services, and the ingress gateway's pod."""
    labels = {"istio-injection": "enabled"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    for service in given.services:
        kind = {"tcp": "tcp", "http2": "http2"}.get(service.protocol, "http")
        spec = {"selector": {"app": service.name}, "ports": [{"name": kind, "port": 80, "protocol": "TCP"}]}
        yield _core("Service", service.name, namespace, spec=spec)
        for version in service.versions:
            yield _pod(f"{service.name}-{version.name}", namespace, {"app": service.name, "version": version.name})


def _pod(name: str, namespace: str, labels: dict[str, str]) -> Manifest:
    containers = [{"name": "app", "image": "app"}, {"name": "istio-proxy", "image": "proxyv2:1.31.0"}]
    pod = _core("Pod", name, namespace, spec={"containers": containers})
    return pod | {"metadata": pod["metadata"] | {"labels": labels}}


def _core(kind: str, name: str, namespace: str, **fields: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def test_validate_accepts_everything(file: Path) -> None:
    done = istio.istioctl("validate", "-f", str(file))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_validate_would_find_a_mistake(file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(file.read_text().replace("attempts:", "atempts:", 1))
    assert istio.istioctl("validate", "-f", str(bad)).returncode != 0


def test_analyze_finds_nothing(file: Path) -> None:
    gateway = file.with_name("gateway.yaml")
    pod = _pod("gateway", "istio-system", {"istio": "ingressgateway"})
    gateway.write_text(yaml.safe_dump_all([_core("Namespace", "istio-system", ""), pod]))
    found = _messages(istio.istioctl("analyze", "--use-kube=false", "-A", "-o", "json", str(gateway), str(file)).stdout)
    assert found == [], "\n".join(found[:20])


def test_analyze_would_find_a_reference_to_nothing(file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(file.read_text().replace("subset: v1", "subset: v9", 1))
    found = _messages(istio.istioctl("analyze", "--use-kube=false", "-A", "-o", "json", str(bad)).stdout)
    assert any("IST0101" in one for one in found)


def _messages(text: str) -> list[str]:
    """In short, without what is known."""
    found = [one for one in json.loads(text or "[]") or [] if one["level"] != "Info"]
    return [
        f"{one['code']} {one['origin']}: {one['message']}"
        for one in found
        if not any(words in one["message"] for words in _KNOWN)
    ]
