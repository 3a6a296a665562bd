"""What is rendered for the Gateway API and for Linkerd, at a real Kubernetes API server: it accepts every document, by the kinds' own
schemas and the rules in them (CEL), and refuses what is wrong. Of what stands for the Gateway API, a real implementation (Istio's controller) accepts every route too."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiculturekit.mesh import gateway_api
from aiculturekit.mesh.features import FEATURES
from aiculturekit.mesh.rendering import Manifest
from tests.mesh.test_mesh_renderings import PLACE, RENDERERS, definitions_of
from tests.servers import gateways, istio, kubernetes
from tests.servers.kubernetes import Server
from tests.servers.needs import built

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built


@pytest.fixture(scope="module", params=list(RENDERERS))
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    built(kubernetes.binaries)
    with kubernetes.running() as one:
        one.create_namespace(PLACE.namespace)
        one.define(*definitions_of(request.param))
        yield request.param, one


def test_every_document_of_every_feature_is_accepted(server: tuple[str, Server]) -> None:
    mesh, api = server
    renderer = RENDERERS[mesh]
    supported = [feature for feature in FEATURES if not renderer.gaps(feature.node)]
    refused = {
        (feature.name, document["kind"], document["metadata"]["name"]): why
        for feature in supported
        for document in renderer.render(feature.node, place=PLACE)
        if (why := api.refusal(document))
    }
    assert refused == {}
    assert len(supported) > 20


def test_the_server_refuses_what_is_wrong(server: tuple[str, Server]) -> None:
    _, api = server
    documents = {one["kind"]: one for one in gateway_api.render(FEATURES[0].node, place=PLACE)}
    route = documents["HTTPRoute"]
    (rule,) = route["spec"]["rules"]
    redirect = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}
    wrong = route | {"spec": route["spec"] | {"rules": [rule | {"filters": [redirect]}]}}
    assert "must not be used together with backendRefs" in api.refusal(wrong)  # a rule in CEL
    assert "field not declared in schema" in api.refusal(route | {"spec": route["spec"] | {"rulez": []}})
    service = documents["Service"]
    assert api.refusal(service | {"spec": {"ports": [{"port": 99999}]}})


@pytest.mark.parametrize("server", ["gateway-api"], indirect=True)
def test_an_implementation_accepts_every_route_of_every_feature(server: tuple[str, Server], tmp_path: Path) -> None:
    """Istio's controller reads the same server. Each feature has a namespace of its own; nothing is left out for what stands elsewhere."""
    built(istio.binaries)
    _, api = server
    api.create_namespace("istio-system")
    supported = [feature for feature in FEATURES if not gateway_api.gaps(feature.node)]
    with gateways.controller(api, folder=tmp_path) as process:
        written = []
        for at, feature in enumerate(supported):
            place = dataclasses.replace(PLACE, namespace=f"feature-{at}")
            api.create_namespace(place.namespace)
            written += gateway_api.render(feature.node, place=place)
        for document in written:
            api.apply(document)
        wrong = gateways.complaints(api, written, process=process)
        missing = lost_backend(api, written, process)
    names = {f"feature-{at}": feature.name for at, feature in enumerate(supported)}
    assert {f"{names[key.partition('/')[0]]}: {key}": why for key, why in wrong.items()} == {}
    assert missing, "the controller does look"


def lost_backend(api: Server, written: list[Manifest], process: subprocess.Popen[bytes]) -> dict[str, list[str]]:
    """What it says of a route that leads to a Service which is not there."""
    route = next(one for one in written if one["kind"] == "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    nowhere = rule | {"backendRefs": [{"name": "nowhere", "port": 80}]}
    wrong = route | {"spec": route["spec"] | {"rules": [nowhere]}}
    api.apply(wrong)
    return gateways.complaints(api, [wrong], process=process)
