"""The shop in a real cluster by `aic deploy`: its images built and pushed by us, its databases in pods, an order through the cluster's ingress."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.clusters import shops
from tests.clusters.shops import ORDER, Json, Shop
from tests.servers import ingresses
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built


@pytest.fixture(scope="module")
def shop(real_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    need(shops.obstacle() or ingresses.obstacle())
    folder = tmp_path_factory.mktemp("shop")
    overlay = shops.without_mesh()
    with shops.shop(real_cluster, registry, folder, options="mesh=none", overlay=overlay) as one:
        one.deploy()
        yield one


@pytest.fixture(scope="module")
def ingress(shop: Shop) -> Iterator[httpx.Client]:
    """The cluster's ingress controller; no pod's own port is asked."""
    with httpx.Client(base_url=f"http://{ingresses.install(shop.cluster)}", timeout=20, trust_env=False) as client:
        until(lambda: shops.answers(client))
        yield client


def until(is_so: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.5)


def test_an_order_is_paid_and_kept(ingress: httpx.Client) -> None:
    answer = ingress.post("/api/orders", json=ORDER)
    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert order["status"] == "paid"
    assert ingress.get(f"/api/orders/{order['id']}").json()["total"] == order["total"]
    assert ingress.get("/api/products").status_code == 200
    assert ingress.get("/api/products").headers["x-cache"] == "hit"


def test_every_pod_is_ready_of_an_image_pinned_by_its_digest(shop: Shop, registry: Registry) -> None:
    rows = json.loads(shop.made.aic("ps", shops.KEY, "--json"))
    running = {row["name"]: row["state"] for row in rows if row["kind"] != "job"}
    assert set(running) == {*shops.SERVICES, "users-db", "orders-db", "cache"}
    assert set(running.values()) == {"ready"}, running
    images = {
        container["image"]
        for pod in shop.listed("pods")
        if pod["metadata"]["labels"]["app"] in shops.SERVICES
        for container in pod["spec"]["containers"]
    }
    assert all(image.startswith(f"{registry.address}/shop/") and "@sha256:" in image for image in images), images


def test_the_namespace_lets_only_restricted_pods_in(shop: Shop) -> None:
    namespace = json.loads(shop.cluster.kubectl("get", "namespace", "shop", "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = ("run", "root", "--image=registry.example/any:1", "--restart=Never")
    assert "violates PodSecurity" in shop.cluster.tried("-n", "shop", *pod).stderr


def test_data_outlives_its_server(shop: Shop, ingress: httpx.Client) -> None:
    order = ingress.post("/api/orders", json=ORDER | {"user_id": 2}).json()
    shop.kubectl("delete", "pod", "orders-db-0", "--wait=true", "--grace-period=30", seconds=90)
    until(lambda: ingress.get(f"/api/orders/{order['id']}").status_code == 200)
    assert ingress.get(f"/api/orders/{order['id']}").json()["id"] == order["id"]


def test_who_does_not_need_a_database_has_no_password_for_it(shop: Shop) -> None:
    given = {
        pod["metadata"]["labels"]["app"]: {
            one["valueFrom"]["secretKeyRef"]["name"]
            for container in pod["spec"]["containers"]
            for one in container["env"]
            if "secretKeyRef" in one.get("valueFrom", {})
        }
        for pod in shop.listed("pods")
    }
    assert given["notification"] == set()
    assert given["order-service"] == {"orders-db-order-service"}


def test_a_second_deploy_changes_only_what_changed(shop: Shop) -> None:
    before, release = shop.generations(), shop.deploy()["release"]
    assert shop.generations() == before
    shop.edit(lambda given: given["services"]["notification"].update(env={"EDITED": "1"}))
    assert shop.deploy()["release"] == release + 1
    changed = {name for name, generation in shop.generations().items() if generation != before[name]}
    assert changed == {"notification-v1"}


def test_a_bad_release_goes_back_by_itself_while_the_old_pods_serve(shop: Shop, ingress: httpx.Client) -> None:
    def breaks(given: Json) -> None:
        given["services"]["api-gateway"] |= {"run": "echo this release cannot start; exit 3", "startup": "20s"}
        given["services"]["notification"]["env"] = {"EDITED": "2"}

    kept = (shop.folder / "aic.yaml").read_text()
    shop.edit(breaks)
    answers, is_over = list[str](), threading.Event()

    def ask() -> None:
        while not is_over.wait(0.05):
            try:
                answers.append(str(ingress.get("/healthz").status_code))
            except httpx.HTTPError as error:
                answers.append(repr(error))

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        done = shop.tried()
    finally:
        is_over.set()
        asker.join()
        (shop.folder / "aic.yaml").write_text(kept)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this release cannot start" in done.stderr
    assert set(answers) == {"200"}
    assert json.loads(shop.made.aic("plan", str(shop.folder), "--to", "staging", "--json")) == []
    releases = json.loads(shop.made.aic("releases", shops.KEY, "--json"))
    assert [one["state"] for one in releases][:2] == ["failed", "current"]


def test_all_of_it_goes_but_the_protected_database(shop: Shop) -> None:
    """The last of this module: the shop is gone then, and comes back with its orders."""
    uid = shop.cluster.get("pvc", "orders-db-data", namespace="shop")["metadata"]["uid"]
    shop.made.aic("down", shops.KEY, "--volumes", "--yes")
    left = "deployments,statefulsets,services,ingresses,jobs,networkpolicies,serviceaccounts"
    until(lambda: shop.kubectl("get", left, "-o", "name").split() == ["serviceaccount/default"])
    until(lambda: [one["metadata"]["name"] for one in shop.listed("pvc")] == ["orders-db-data"])
    (claim,) = shop.listed("pvc")
    assert claim["metadata"]["uid"] == uid and "deletionTimestamp" not in claim["metadata"]
