"""What is rendered for the Gateway API and for Linkerd, at a real Kubernetes API server: it accepts every document, by the kinds' own
schemas and the rules in them (CEL), and refuses what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiculturekit.mesh import gateway_api
from aiculturekit.mesh.features import FEATURES
from tests.mesh.test_mesh_renderings import PLACE, RENDERERS, definitions_of
from tests.servers import kubernetes
from tests.servers.kubernetes import Server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(kubernetes.missing()), reason=kubernetes.missing()),
]


@pytest.fixture(scope="module", params=list(RENDERERS))
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
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
