"""What is written for Prometheus' operator: accepted by its own definitions in a real API server, read by Prometheus' own tools, and what it
says about pods chooses those of a mesh's proxies in a real Prometheus."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from aiculturekit.control import manifests
from aiculturekit.mesh.rendering import Manifest
from tests.servers import crds, kubernetes
from tests.servers.distributions import free
from tests.servers.kubernetes import Server
from tests.servers.needs import built, need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
ENVIRONMENTS = {"none": "cluster", "istio": None, "linkerd": None}
TOOLS = "needs Prometheus: apt-get install prometheus"
POD = "127.77.0.1"
"""An address of this machine that nobody else listens on."""


def monitors(mesh: str) -> list[Manifest]:
    target = f"kubernetes:///shop?mesh={mesh}&registry=registry.example.com/shop&monitoring=prometheus-operator"
    objects = manifests.rendered(SHOP, environment=ENVIRONMENTS[mesh], wish=manifests.Wish(target=target))
    found = [one.manifest for one in objects if one.manifest["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {one["kind"] for one in found} == {"PrometheusRule"} | ({"PodMonitor"} if mesh != "none" else set())
    return found


def groups(mesh: str) -> dict[str, Any]:
    return {"groups": [group for one in monitors(mesh) for group in one["spec"].get("groups", ())]}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    built(kubernetes.binaries)
    with kubernetes.running() as one:
        one.create_namespace("shop")
        one.define(*crds.prometheus_operator())
        yield one


@pytest.mark.parametrize("mesh", ENVIRONMENTS)
def test_the_operator_s_own_definitions_accept_them(server: Server, mesh: str) -> None:
    assert {one["metadata"]["name"]: why for one in monitors(mesh) if (why := server.refusal(one))} == {}
    wrong = monitors(mesh)[-1]
    assert server.refusal(wrong | {"spec": {**wrong["spec"], "gruops": []}})


@pytest.mark.parametrize("mesh", ENVIRONMENTS)
def test_prometheus_reads_the_rules(mesh: str, tmp_path: Path) -> None:
    need(None if shutil.which("promtool") else TOOLS)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups(mesh)))
    done = subprocess.run(
        ["promtool", "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{15 if mesh != 'none' else 5} rules found" in done.stdout


CASES = {
    "istio": [
        'istio_requests_total{reporter="destination",namespace="shop",app="order-service",response_code="CODE"}',
        'istio_request_duration_milliseconds_bucket{reporter="destination",namespace="shop",app="order-service",le="LE"}',
    ],
    "linkerd": [
        'response_total{direction="inbound",namespace="shop",app="order-service",classification="CLASS"}',
        'response_latency_ms_bucket{direction="inbound",namespace="shop",app="order-service",le="LE"}',
    ],
}


@pytest.mark.parametrize("mesh", CASES)
@pytest.mark.parametrize("is_ill", [True, False])
def test_a_service_that_is_ill_is_told_of_and_one_that_is_well_is_not(mesh: str, is_ill: bool, tmp_path: Path) -> None:
    need(None if shutil.which("promtool") else TOOLS)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups(mesh)))
    requests, latency = CASES[mesh]
    good, bad = (
        requests.replace("CODE", code).replace("CLASS", kind) for code, kind in (("200", "success"), ("503", "failure"))
    )
    restarts = 'kube_pod_container_status_restarts_total{namespace="shop",pod="order-service-v1-abc",container="app"}'
    slow = (
        {"0.5": 0, "1000": 10, "5000": 100, "+Inf": 100}
        if is_ill
        else {"0.5": 100, "1000": 100, "5000": 100, "+Inf": 100}
    )
    series = {good: 90, bad: 10 if is_ill else 1, restarts: 1 if is_ill else 0}
    series |= {latency.replace("LE", bound): amount for bound, amount in slow.items()}
    names = ["Errors", "Slow", "Restarts"]
    told = [
        {"alertname": name, "eval_time": "20m", "exp_alerts": _alerts(mesh, name) if is_ill else []} for name in names
    ]
    given = [{"series": name, "values": f"0+{amount}x30"} for name, amount in series.items()]
    case = {"interval": "1m", "input_series": given, "alert_rule_test": told}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _alerts(mesh: str, name: str) -> list[dict[str, Any]]:
    rules = [
        rule for group in groups(mesh)["groups"] if group["name"] == "shop.order-service" for rule in group["rules"]
    ]
    rule = next(rule for rule in rules if rule["alert"] == name)
    return [{"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}]


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = (
            b'istio_requests_total{reporter="destination",response_code="200"} 7\n'
            if self.path == "/stats/prometheus"
            else b""
        )
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def proxy() -> Iterator[None]:
    one = ThreadingHTTPServer((POD, 15090), Proxy)
    Thread(target=one.serve_forever, daemon=True).start()
    yield
    one.shutdown()
    one.server_close()


def test_a_real_prometheus_asks_the_proxies_and_nothing_else(proxy: None, tmp_path: Path) -> None:
    need(None if shutil.which("prometheus") else TOOLS)
    (monitor,) = [one for one in monitors("istio") if one["kind"] == "PodMonitor"]
    with Prometheus(monitor, tmp_path) as url:
        end = time.monotonic() + 60
        while not (found := _series(url)):
            assert time.monotonic() < end, httpx.get(f"{url}/api/v1/targets").text
            time.sleep(0.3)
        targets = httpx.get(f"{url}/api/v1/targets?state=active").json()["data"]["activeTargets"]
    assert [one["scrapeUrl"] for one in targets] == [f"http://{POD}:15090/stats/prometheus"]
    assert found[0]["metric"].items() >= {"app": "web", "version": "v1", "namespace": "shop"}.items()
    assert found[0]["value"][1] == "7"


def _series(url: str) -> Any:
    return httpx.get(f"{url}/api/v1/query", params={"query": "istio_requests_total"}).json()["data"]["result"]


PORTS = (("app", 8080), ("istio-proxy", 15090), ("istio-proxy", 15021))
"""Of the containers of a pod that Istio put its proxy into."""


def _discovered(monitor: Manifest) -> list[dict[str, Any]]:
    """What Prometheus' discovery says of such a pod, a target for each port
    (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod)."""
    labels = {**monitor["spec"]["selector"]["matchLabels"], "app": "web", "version": "v1"}
    shared = {"namespace": "shop", "pod_ip": POD} | {f"pod_label_{_named(key)}": value for key, value in labels.items()}
    found = []
    for container, port in PORTS:
        own = shared | {"pod_container_name": container, "pod_container_port_number": str(port)}
        told = {f"__meta_kubernetes_{key}": value for key, value in own.items()}
        found.append({"targets": [f"{POD}:{port}"], "labels": told})
    return found


def _named(label: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in label)


class Prometheus:
    """One with what its operator makes of the monitor (https://prometheus-operator.dev/docs/developer/getting-started/): its own
    labels for a pod's place, those that the monitor names, its relabelings as they are."""

    def __init__(self, monitor: Manifest, folder: Path) -> None:
        spec = monitor["spec"]
        (endpoint,) = spec["podMetricsEndpoints"]
        relabelings = [{"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"}]
        for label, value in spec["selector"]["matchLabels"].items():
            relabelings.append(
                {"action": "keep", "source_labels": [f"__meta_kubernetes_pod_label_{_named(label)}"], "regex": value}
            )
        relabelings += [
            {"source_labels": [f"__meta_kubernetes_pod_label_{label}"], "target_label": label}
            for label in spec["podTargetLabels"]
        ]
        relabelings += [
            {"action": one["action"], "source_labels": one["sourceLabels"], "regex": one["regex"]}
            for one in endpoint["relabelings"]
        ]
        (folder / "targets.json").write_text(json.dumps(_discovered(monitor)))
        job = {
            "job_name": "shop",
            "scrape_interval": "1s",
            "metrics_path": endpoint["path"],
            "file_sd_configs": [{"files": [str(folder / "targets.json")]}],
            "relabel_configs": relabelings,
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
        self._folder, self._port = folder, free()

    def __enter__(self) -> str:
        url = f"http://127.0.0.1:{self._port}"
        command = [
            "prometheus",
            f"--config.file={self._folder}/prometheus.yaml",
            f"--storage.tsdb.path={self._folder}/data",
        ]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{self._port}"], stdout=log, stderr=log
            )
        end = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/-/ready").raise_for_status()
            except httpx.HTTPError:
                assert time.monotonic() < end, (self._folder / "log").read_text()
                time.sleep(0.2)
                continue
            return url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
