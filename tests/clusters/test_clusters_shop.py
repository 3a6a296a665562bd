"""The shop in a real cluster: its images built and pushed by us, its databases in pods, an order through the cluster's network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.clusters import shops
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built


@pytest.fixture(scope="module")
def applied(real_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    need(shops.obstacle())
    folder = tmp_path_factory.mktemp("shop")
    file = shops.built(registry, folder, environment="cluster", mesh="none")
    shops.applied(real_cluster, shops.rendered(file, environment="cluster"), folder)
    return real_cluster


@pytest.fixture(scope="module")
def gateway(applied: Cluster) -> Iterator[httpx.Client]:
    address = applied.dial_service("api-gateway", namespace="shop")
    with httpx.Client(base_url=f"http://{address}", timeout=20, trust_env=False) as client:
        yield client


def test_an_order_is_paid_and_kept(gateway: httpx.Client) -> None:
    answer = gateway.post("/api/orders", json={"user_id": 1, "items": [{"sku": "tea", "quantity": 2}]})
    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert order["status"] == "paid"
    assert gateway.get(f"/api/orders/{order['id']}").json()["total"] == order["total"]
    assert gateway.get("/api/products").status_code == 200
    assert gateway.get("/api/products").headers["x-cache"] == "hit"


def test_the_namespace_lets_only_restricted_pods_in(applied: Cluster) -> None:
    namespace = json.loads(applied.kubectl("get", "namespace", "shop", "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = ("run", "root", "--image=registry.example/any:1", "--restart=Never")
    assert "violates PodSecurity" in applied.tried("-n", "shop", *pod).stderr


def test_data_outlives_its_server(applied: Cluster, gateway: httpx.Client) -> None:
    order = gateway.post("/api/orders", json={"user_id": 2, "items": [{"sku": "tea", "quantity": 1}]}).json()
    applied.kubectl("-n", "shop", "delete", "pod", "orders-db-0", "--wait=true", "--grace-period=30", seconds=90)
    deadline = time.monotonic() + 120
    while (answer := gateway.get(f"/api/orders/{order['id']}")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.5)
    assert answer.json()["id"] == order["id"]


def test_who_does_not_need_a_database_has_no_password_for_it(applied: Cluster) -> None:
    pods = json.loads(applied.kubectl("-n", "shop", "get", "pods", "-o", "json"))["items"]
    given = {
        pod["metadata"]["labels"]["app"]: {
            one["valueFrom"]["secretKeyRef"]["name"]
            for container in pod["spec"]["containers"]
            for one in container["env"]
            if "secretKeyRef" in one.get("valueFrom", {})
        }
        for pod in pods
    }
    assert given["notification"] == set()
    assert given["order-service"] == {"orders-db-order-service"}
