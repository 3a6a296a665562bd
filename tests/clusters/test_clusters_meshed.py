"""The shop behind a real Istio in a real cluster: sidecars in every pod, a gateway of its own, and the same rules as on this machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.clusters import shops
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
ORDER = {"user_id": 1, "items": [{"sku": "tea", "quantity": 2}]}


@pytest.fixture(scope="module")
def applied(mesh_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    need(shops.obstacle())
    folder = tmp_path_factory.mktemp("shop")
    file = shops.built(registry, folder, environment="meshed", mesh="istio")
    shops.applied(mesh_cluster, shops.rendered(file, environment="meshed"), folder)
    mesh_cluster.rolled_out("shop-istio", namespace=shops.NAMESPACE, seconds=300)
    return mesh_cluster


@pytest.fixture(scope="module")
def gateway(applied: Cluster) -> Iterator[httpx.Client]:
    """Istio's controller made it of the Gateway that we render."""
    address = applied.dial_service("shop-istio", namespace=shops.NAMESPACE, port=80)
    with httpx.Client(base_url=f"http://{address}", timeout=20, trust_env=False) as client:
        yield client


def test_an_order_is_paid_through_the_gateway(gateway: httpx.Client) -> None:
    answer = gateway.post("/api/orders", json=ORDER)
    assert answer.status_code == 201, answer.text
    assert gateway.get(f"/api/orders/{answer.json()['id']}").json()["status"] == "paid"


def test_every_pod_has_its_sidecar(applied: Cluster, gateway: httpx.Client) -> None:
    pods = json.loads(applied.kubectl("-n", shops.NAMESPACE, "get", "pods", "-o", "json"))["items"]
    without = [
        pod["metadata"]["name"]
        for pod in pods
        if "istio-proxy"
        not in {one["name"] for part in ("containers", "initContainers") for one in pod["spec"].get(part, ())}
    ]
    assert len(pods) >= 9 and without == []


def test_the_canary_has_its_share(gateway: httpx.Client) -> None:
    """10% of 300: five standard deviations are 26."""
    seen = Counter(gateway.post("/api/orders", json=ORDER).headers["x-version"] for _ in range(300))
    assert abs(seen["v2"] - 30) <= 26 and seen["v1"] + seen["v2"] == 300
    assert gateway.post("/api/orders", json=ORDER, headers={"x-beta": "true"}).headers["x-version"] == "v2"


@pytest.mark.parametrize("needed", ["user-service", "payment-service"])
def test_a_call_that_no_need_names_is_refused(applied: Cluster, gateway: httpx.Client, needed: str) -> None:
    """The same question from a pod that needs the service, and from one that does not."""
    script = f"import httpx; print(httpx.get('http://{needed}:8080/healthz', timeout=20).status_code)"
    allowed = applied.tried(*_within("order-service", script))
    assert allowed.stdout.strip() == "200", allowed.stderr
    refused = applied.tried(*_within("notification", script))
    assert refused.returncode != 0 and "200" not in refused.stdout
    assert "Connect" in refused.stderr or "Read" in refused.stderr or "403" in refused.stdout


def test_who_has_no_identity_is_refused(applied: Cluster, gateway: httpx.Client) -> None:
    """Mutual TLS is demanded: plain text from the node does not come in."""
    address = applied.dial_service("user-service", namespace=shops.NAMESPACE)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{address}/users", timeout=20, trust_env=False)


def _within(workload: str, script: str) -> tuple[str, ...]:
    words = ("-n", shops.NAMESPACE, "exec", f"deploy/{workload}-v1", "-c", workload)
    return (*words, "--", "python3", "-c", script)
