"""The shop in a real cluster: its images built and pushed by us, its databases in pods, an order through the cluster's network."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aiculturekit.control import images, manifests
from aiculturekit.targets.kubernetes.objects import Owned
from tests.images import bases
from tests.servers import databases, machines, programs
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
SHOP = Path(__file__).parents[2] / "examples" / "shop"
SERVICES = ("api-gateway", "user-service", "order-service", "payment-service", "notification")


@pytest.fixture(scope="module")
def shop(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with a base image that can be had here, its images and those of its databases in the registry."""
    need(databases.obstacle() or bases.missing() or None)
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(SHOP, folder / "shop")
    file = folder / "shop" / "aic.yaml"
    given = yaml.safe_load(file.read_text())
    base = bases.layout(folder / "base")
    for name in SERVICES:
        given["services"][name]["base"] = base
    given["environments"]["cluster"]["target"] = (
        f"kubernetes:///shop?registry={registry.address}/shop&mirror={registry.address}"
    )
    file.write_text(yaml.safe_dump(given, sort_keys=False))
    registry.push(databases.postgres(folder / "postgres.tar"), "library/postgres:18")
    registry.push(databases.valkey(folder / "valkey.tar"), "valkey/valkey:9")
    order = images.Order(push=f"http://{registry.address}/shop", tag="1")
    built = asyncio.run(
        images.build(file, environment="cluster", order=order, store=folder / "store", progress=lambda _: None)
    )
    assert len(built) == len(SERVICES)
    return file


@pytest.fixture(scope="module")
def objects(shop: Path) -> tuple[Owned, ...]:
    return manifests.rendered(shop, environment="cluster", wish=manifests.Wish(tag="1"))


@pytest.fixture(scope="module")
def applied(real_cluster: Cluster, objects: tuple[Owned, ...], tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """By hand, as somebody does who has the rendered files: the script with the Secrets first, then kubectl."""
    folder = tmp_path_factory.mktemp("volumes")
    claims = [one.manifest for one in objects if one.manifest["kind"] == "PersistentVolumeClaim"]
    real_cluster.apply(*(_volume(folder, claim) for claim in claims))
    script = manifests.secrets(objects)
    path = f"{programs.path('kubectl').parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(real_cluster.kubeconfig), "HOME": str(folder)}
    for _ in range(2):  # may be run again
        done = subprocess.run(
            ["/bin/sh", "-e"], input=script, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    real_cluster.apply(*(one.manifest for one in objects if one.fill is None))
    real_cluster.kubectl(
        "-n", "shop", "wait", "--for=condition=complete", "job", "--all", "--timeout=240s", seconds=250
    )
    for one in objects:
        if one.manifest["kind"] == "Deployment":
            real_cluster.rolled_out(one.manifest["metadata"]["name"], namespace="shop", seconds=300)
    return real_cluster


def _volume(folder: Path, claim: dict[str, Any]) -> dict[str, Any]:
    """There is nobody in this cluster who makes a volume for a claim."""
    name = claim["metadata"]["name"]
    place = folder / name
    place.mkdir()
    for path in (place, *place.parents[:3]):
        path.chmod(0o777)
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(place)},
        "claimRef": {"namespace": "shop", "name": name},
        "storageClassName": "",
    }
    claim["spec"]["storageClassName"] = ""
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"shop-{name}"}, "spec": spec}


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


def test_pods_are_restricted_and_nobody_restarts(applied: Cluster, gateway: httpx.Client) -> None:
    namespace = json.loads(applied.kubectl("get", "namespace", "shop", "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = json.loads(applied.kubectl("-n", "shop", "get", "pods", "-o", "json"))["items"]
    restarts = {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"].get("containerStatuses", ())
        if status["restartCount"]
    }
    assert len(pods) >= 8 and restarts == {}


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
    assert machines.NAME  # the node's, which ran all of it
