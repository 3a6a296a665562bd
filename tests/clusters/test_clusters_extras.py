"""What a cloud has beside a bare Kubernetes, seen from `aic deploy`: a network that holds NetworkPolicies, a balancer with an address, a scaler
that is told how much pods use, and the figures of `aic releases --stats`."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.products import Product, product
from tests.servers import clusters, crds, extras, machines, meshes
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
FILE = """\
app: {app}
services:
  web:
    image: tests.local/echo:1
    public: /
    needs: [api]
    scale: {scale}
  api: {{image: tests.local/echo:1, env: {{NAME: api}}}}
  stranger: {{image: tests.local/echo:1}}
environments:
  cloud: {{target: "kubernetes:///{app}?mesh={mesh}"}}
"""
SCALED = "{min: 1, max: 3, cpu: 2%}"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cluster]:
    need(extras.obstacle() or clusters.obstacle("real") or crds.missing())
    with clusters.cluster(nodes="real", images=[machines.archive("echo")]) as one:
        extras.enforce(one)
        extras.balance(one)
        extras.measure(one)
        yield one


class App:
    def __init__(self, folder: Path, made: Product, cluster: Cluster, name: str) -> None:
        self.folder, self.made, self.cluster, self.name = folder, made, cluster, name

    def deploy(self, *, scale: str = "1", mesh: str = "none") -> None:
        (self.folder / "aic.yaml").write_text(FILE.format(app=self.name, scale=scale, mesh=mesh))
        done = self.made.run("deploy", str(self.folder), "--to", "cloud")
        assert done.returncode == 0, done.stdout + done.stderr

    def asked(self, who: str, url: str) -> str:
        words = ("-n", self.name, "exec", f"deployment/{who}-v1", "-c", who, "--", "/echo", "get", url)
        done = self.cluster.tried(*words, seconds=60)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(cloud: Cluster) -> Iterator[Product]:
    with product() as one:
        one.set(KUBECONFIG=str(cloud.kubeconfig))
        yield one


@pytest.fixture(scope="module")
def plain(cloud: Cluster, made: Product, tmp_path_factory: pytest.TempPathFactory) -> App:
    """Without a mesh."""
    one = App(tmp_path_factory.mktemp("plain"), made, cloud, "plain")
    one.deploy(scale=SCALED)
    return one


def until(is_so: Callable[[], Any], *, what: str, seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, what
        time.sleep(0.5)
    return found


def test_without_a_mesh_the_network_refuses_a_call_that_no_need_names(plain: App) -> None:
    until(lambda: "200 api" in plain.asked("web", "http://api:8080/"), what="who needs it may call it")
    assert plain.asked("stranger", "http://api:8080/").startswith("0 ")
    assert plain.asked("api", "http://web:8080/").startswith("0 ")
    assert plain.asked("web", "http://stranger:8080/").startswith("0 ")
    assert "200 api" in plain.asked("web", "http://api:8080/")


def test_the_share_of_what_was_asked_for_that_is_used_is_known(plain: App) -> None:
    def figure() -> Any:
        found = json.loads(plain.made.aic("releases", "plain@cloud", "--stats", "--json"))
        return next((row for row in found["utilisation"] if row["memory"]["used"]), None)

    row = until(figure, what="metrics-server measured the pods")
    assert row["memory"]["requested"] == 3 * 64 * 2**20
    assert 0 < row["memory"]["ratio"] < 1
    assert row["cpu"]["used"] is not None


def test_replicas_follow_what_the_processor_has_to_do(plain: App) -> None:
    address = plain.cluster.dial_service("web", namespace="plain", port=8080)
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://{address}", timeout=10, trust_env=False) as client:
            while not is_over.wait(0.002):
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/")

    def scaled() -> bool:
        return plain.cluster.get("deployment", "web-v1", namespace="plain")["status"].get("readyReplicas", 0) >= 2

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for one in threads:
        one.start()
    try:
        until(scaled, what=plain.cluster.tried("-n", "plain", "describe", "hpa", "web-v1").stdout)
    finally:
        is_over.set()
        for one in threads:
            one.join()
    scaler = plain.cluster.get("hpa", "web-v1", namespace="plain")
    assert scaler["status"]["currentMetrics"][0]["resource"]["current"]["averageValue"] != "0"


def test_the_gateway_has_an_address_at_which_it_answers(
    cloud: Cluster, made: Product, tmp_path_factory: pytest.TempPathFactory
) -> None:
    meshes.install(cloud)
    app = App(tmp_path_factory.mktemp("meshed"), made, cloud, "meshed")
    app.deploy(mesh="istio")

    def address() -> str:
        service = cloud.get("service", "meshed-istio", namespace="meshed")
        assert service["spec"]["type"] == "LoadBalancer"
        return str(next((one["ip"] for one in service["status"]["loadBalancer"].get("ingress", ())), ""))

    found = until(address, what="MetalLB gave no address")
    assert found in {f"10.244.0.{at}" for at in range(240, 251)}
    cloud.rolled_out("meshed-istio", namespace="meshed", seconds=300)
    url = f"http://{cloud.dial(found, 80)}/"

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(url, timeout=10, trust_env=False).status_code == 200
        return False

    until(answers, what="the gateway does not answer at its address")
