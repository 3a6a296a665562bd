"""All that is rendered for a cluster, at a real Kubernetes API server: the shop for every mesh and several managed offerings, with the
definitions of the Gateway API, and Istio's as its own server installs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.control import manifests
from aiculturekit.targets.kubernetes.objects import Owned
from tests.servers import crds, kubernetes
from tests.servers.kubernetes import Server
from tests.servers.needs import built

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
ENVIRONMENTS = {"none": "cluster", "istio": None, "linkerd": None, "gateway-api": "gateway-api"}
FLAVORS = ("generic", "eks", "ack", "openshift")
FOREIGN = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "keda.sh", "postgresql.cnpg.io")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    built(kubernetes.binaries)
    with kubernetes.running() as one:
        one.create_namespace("shop")
        one.define(*crds.gateway_api("experimental"), *crds.linkerd())
        yield one


def objects(mesh: str, flavor: str) -> tuple[Owned, ...]:
    target = (
        f"kubernetes://tests/shop?mesh={mesh}&flavor={flavor}&registry=registry.example.com/shop&host=shop.example.com"
    )
    wish = manifests.Wish(target=target, tag="v1")
    return manifests.rendered(SHOP, environment=ENVIRONMENTS[mesh], wish=wish)


def filled(owned: Owned) -> dict[str, Any]:
    """A Secret as it is applied."""
    return owned.manifest | ({"stringData": dict(owned.fill.templates)} if owned.fill else {})


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("mesh", ENVIRONMENTS)
def test_the_server_accepts_every_object_of_the_shop(server: Server, mesh: str, flavor: str) -> None:
    ours = [one for one in objects(mesh, flavor) if not one.manifest["apiVersion"].startswith(FOREIGN)]
    refused = {one.place: why for one in ours if (why := server.refusal(filled(one)))}
    assert refused == {}
    assert len(ours) > 40


def test_a_field_that_does_not_exist_is_refused(server: Server) -> None:
    deployment = next(one.manifest for one in objects("none", "generic") if one.manifest["kind"] == "Deployment")
    assert "field not declared in schema" in server.refusal(deployment | {"spec": deployment["spec"] | {"replicaz": 1}})
