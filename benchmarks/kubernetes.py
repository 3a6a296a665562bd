"""Clusters: the shop deployed to a real one (images cached; nothing changed), requests while it is deployed over and over, and two hundred
services beside Helm and kubectl with the same documents, on nodes on which nothing runs."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.loads import Load
from benchmarks.products import Product, application, product
from benchmarks.tables import Missing, Row
from tests.clusters import shops
from tests.clusters.shops import Shop
from tests.servers import clusters, ingresses, machines, registries, tools
from tests.servers.clusters import Cluster

_RATE, _DEPLOYS, _SERVICES = 100.0, 20, 200


def run(*, quick: bool = False) -> Iterator[Row]:
    obstacle = shops.obstacle() or ingresses.obstacle() or registries.obstacle() or clusters.obstacle("real")
    if obstacle:
        raise Missing(obstacle)
    yield from _shop(3 if quick else _DEPLOYS)
    yield from _many(40 if quick else _SERVICES)


def _shop(deploys: int) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(registries.running())
        cluster = stack.enter_context(clusters.cluster(nodes="real", images=[machines.archive("echo")]))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster.offer(registry.port)
        shop = stack.enter_context(
            shops.shop(cluster, registry, folder, options="mesh=none", overlay=shops.without_mesh())
        )
        shop.deploy()
        shop.made.aic("down", shops.KEY)
        _wait(
            lambda: all(pod["status"]["phase"] == "Succeeded" for pod in shop.listed("pods"))
        )  # that it was seeded stays
        yield Row("shop: deploy, images cached", _timed(shop.deploy), "s", bar="<= 60")
        yield Row("shop: deploy, nothing changed", min(_timed(shop.deploy) for _ in range(3)), "s", bar="<= 2")
        yield from _rolling(shop, deploys)


def _rolling(shop: Shop, deploys: int) -> Iterator[Row]:
    """Every one of them replaces the pods of the front door and of the service behind it. Asked are the cluster's ingress, over connections
    that are kept open, and the Service itself, with a new connection for each request."""
    ingress = _port(ingresses.install(shop.cluster))
    service = _port(shop.cluster.dial_service("api-gateway", namespace=shops.NAMESPACE))
    loads = {
        "through the ingress": Load(ingress, rate=_RATE, path="/api/products"),
        "to the Service, a connection for each": Load(service, rate=_RATE, path="/healthz", is_fresh=True),
    }
    _wait(lambda: all(_answers(load) for load in loads.values()))  # the nodes hear of a new Service a moment later
    with contextlib.ExitStack() as stack:
        for load in loads.values():
            stack.enter_context(load.running(longest=120.0 * deploys))
        took = [_timed(lambda at=at: _edited(shop, at)) for at in range(deploys)]
    yield Row(f"shop: a rolling deploy, the middle of {deploys}", sorted(took)[deploys // 2], "s")
    for way, load in loads.items():
        total = sum(load.results.values())
        what = f"failed during {deploys} rolling deploys, 100/s {way} ({total:,} requests)"
        yield Row(what, float(load.failed), "requests", bar="0")


def _answers(load: Load) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{load.port}{load.path}", timeout=10, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _edited(shop: Shop, at: int) -> None:
    def edit(given: dict[str, Any]) -> None:
        for name in ("api-gateway", "order-service"):
            given["services"][name]["env"] = {"EDITED": str(at)}

    shop.edit(edit)
    shop.deploy()


def _many(count: int) -> Iterator[Row]:
    """Each way in a namespace of its own, empty before, until every Deployment is available; then with one service changed."""
    with clusters.cluster(nodes="fake") as cluster, product() as made, tempfile.TemporaryDirectory() as name:
        made.set(KUBECONFIG=str(cluster.kubeconfig))
        for at in range(2, 5):
            cluster.add_fake_node(f"fake-{at}")
        made.aic("server", "start")
        for what, edited in (("", None), (", one of them changed", 7)):
            took = _ways(cluster, made, Path(name), lambda space, edited=edited: _file(count, space, edited=edited))
            said = f"{count} services on fake nodes{what}: deploy"
            yield Row(said, took["ours"], "s", "kubectl apply --server-side, then rollout status", took["kubectl"])
            yield Row(said, took["ours"], "s", "helm upgrade --install --wait", took["helm"])


def _ways(cluster: Cluster, made: Product, folder: Path, text: Callable[[str], str]) -> dict[str, float]:
    for space in ("ours", "kubectl", "helm"):
        application(folder / space, text(space))
    made.aic("render", "kubernetes", str(folder / "kubectl"), "--env", "staging", "-o", str(folder / "plain"))
    made.aic("render", "kubernetes", str(folder / "helm"), "--format", "helm", "-o", str(folder / "chart"))
    return {
        "ours": made.timed("deploy", str(folder / "ours"), "--to", "staging"),
        "kubectl": _timed(lambda: _with_kubectl(cluster, folder / "plain")),
        "helm": _timed(lambda: _with_helm(cluster, folder / "chart")),
    }


def _with_kubectl(cluster: Cluster, folder: Path) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(folder), seconds=600)
    cluster.kubectl("-n", "kubectl", "rollout", "status", "deployment", "--timeout=600s", seconds=610)


def _with_helm(cluster: Cluster, chart: Path) -> None:
    words = ["upgrade", "--install", "many", chart, "--wait", "--timeout", "10m", "-f", chart / "values-staging.yaml"]
    command = [tools.helm(), "--kubeconfig", cluster.kubeconfig, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=700)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _file(count: int, space: str, *, edited: int | None) -> str:
    """Each calls two others."""
    services = [
        f'  s{at}: {{image: "registry.example.com/s:1", needs: [s{(at + 1) % count}, s{(at + 7) % count}]'
        f"{', env: {EDITED: yes}' if at == edited else ''}}}"
        for at in range(count)
    ]
    places = ["environments:", f"  staging: {{target: 'kubernetes:///{space}'}}"]
    return "\n".join([f"app: {space}", "services:", *services, *places, ""])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError("the pods do not go")
        time.sleep(0.5)
