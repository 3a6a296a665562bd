"""The clusters for tests are what they say they are: on the fake one much is scheduled, on the real one pods run, roll, pull and speak mTLS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clusters.manifests import echo
from tests.servers import clusters, machines, meshes, stages
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
Namespace = Callable[..., str]


def body(url: str) -> str:
    return httpx.get(url, timeout=10, trust_env=False).raise_for_status().text


def says(url: str, beginning: str) -> bool:
    """Who is not reachable yet says nothing."""
    with contextlib.suppress(httpx.HTTPError):
        return body(url).startswith(beginning)
    return False


def until(condition: Callable[[], bool], *, what: str, seconds: float = 60) -> None:
    machines.wait(condition, what=what, seconds=seconds)


def test_fifty_deployments_get_ready_on_a_fake_node(fake_cluster: Cluster, namespace: Namespace) -> None:
    space = namespace(fake_cluster)
    fake_cluster.apply(*(one for at in range(50) for one in echo(f"app-{at}", namespace=space, replicas=2)))
    for at in range(50):
        fake_cluster.rolled_out(f"app-{at}", namespace=space)


def test_a_pod_on_a_fake_node_behaves_as_it_says(fake_cluster: Cluster, namespace: Namespace) -> None:
    space = namespace(fake_cluster)
    deployment, _ = echo("bad", namespace=space, labels={stages.LABEL: "pull-error"})
    deployment["spec"]["progressDeadlineSeconds"] = 2
    fake_cluster.apply(deployment)
    answer = fake_cluster.tried("-n", space, "rollout", "status", "deployment/bad", "--timeout=60s")
    assert "exceeded its progress deadline" in answer.stderr
    assert "ImagePullBackOff" in fake_cluster.kubectl("-n", space, "get", "pods")


def test_pods_run_are_reached_and_roll_under_traffic(real_cluster: Cluster, namespace: Namespace) -> None:
    space = namespace(real_cluster)
    deployment, service = echo("web", namespace=space, replicas=2, environment={"VERSION": "1"})
    real_cluster.apply(deployment, {**service, "spec": {**service["spec"], "type": "NodePort"}})
    real_cluster.rolled_out("web", namespace=space)
    url = f"http://{real_cluster.dial_service('web', namespace=space)}/"
    until(lambda: says(url, "web 1"), what="the service")
    node_port = real_cluster.get("service", "web", namespace=space)["spec"]["ports"][0]["nodePort"]
    on_the_node = f"http://{real_cluster.dial(real_cluster.address, node_port)}/"
    until(lambda: says(on_the_node, "web 1"), what="the port of the node")
    inside = ("exec", "deployment/web", "--", "/echo", "get", f"http://web.{space}.svc.cluster.local/")
    assert "200 web 1" in real_cluster.kubectl("-n", space, *inside)  # by its name

    is_over, failures, answers = threading.Event(), list[str](), list[str]()

    def ask() -> None:
        while not is_over.is_set():
            try:
                answers.append(body(url))
            except httpx.HTTPError as error:
                failures.append(repr(error))
            time.sleep(0.02)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        real_cluster.apply(echo("web", namespace=space, replicas=2, environment={"VERSION": "2"})[0])
        real_cluster.rolled_out("web", namespace=space)
        until(lambda: answers[-1].startswith("web 2"), what="the new version")
    finally:
        is_over.set()
        asker.join()
    assert len(failures) <= len(answers) / 20, failures


def test_an_image_is_pulled_from_the_registry_by_its_digest(
    real_cluster: Cluster, registry: Registry, namespace: Namespace
) -> None:
    space = namespace(real_cluster)
    reference = registry.push(machines.archive("echo"), "shop/web:1")
    assert registry.tags("shop/web") == ["1"]
    real_cluster.apply(*echo("pulled", namespace=space, image=reference))
    real_cluster.rolled_out("pulled", namespace=space)
    (pod,) = real_cluster.api.get(f"/api/v1/namespaces/{space}/pods").json()["items"]
    assert pod["status"]["containerStatuses"][0]["imageID"] == reference
    events = real_cluster.kubectl("-n", space, "get", "events")
    assert "Successfully pulled image" in events


def test_a_pod_of_the_mesh_has_a_sidecar_and_only_who_may_reaches_it(
    mesh_cluster: Cluster, namespace: Namespace
) -> None:
    space, outside = namespace(mesh_cluster, **meshes.INJECTED), namespace(mesh_cluster)
    mesh_cluster.apply(
        *echo("web", namespace=space),
        *echo("client", namespace=space),
        *echo("stranger", namespace=outside),
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "strict", "namespace": space},
            "spec": {"mtls": {"mode": "STRICT"}},
        },
    )
    for where, name in ((space, "web"), (space, "client"), (outside, "stranger")):
        mesh_cluster.rolled_out(name, namespace=where, seconds=120)
    url = f"http://web.{space}/"

    def asked(where: str, name: str) -> str:
        return mesh_cluster.kubectl("-n", where, "exec", f"deployment/{name}", "-c", "app", "--", "/echo", "get", url)

    identity = f"spiffe://cluster.local/ns/{space}/sa/default"
    until(lambda: identity in asked(space, "client"), what="mTLS")
    until(lambda: asked(outside, "stranger").startswith("0 "), what="the refusal of who has no certificate")


def test_the_gateway_api_is_served(mesh_cluster: Cluster, namespace: Namespace) -> None:
    space = namespace(mesh_cluster)
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    mesh_cluster.apply(
        *echo("web", namespace=space),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gate", "namespace": space, "annotations": meshes.PORTS},
            "spec": {"gatewayClassName": "istio", "listeners": [listener]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "web", "namespace": space},
            "spec": {"parentRefs": [{"name": "gate"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
        },
    )
    mesh_cluster.rolled_out("web", namespace=space)
    mesh_cluster.kubectl(
        "-n", space, "wait", "--for=condition=Programmed", "gateway/gate", "--timeout=90s", seconds=100
    )
    mesh_cluster.rolled_out("gate-istio", namespace=space)
    url = f"http://{mesh_cluster.dial_service('gate-istio', namespace=space, port=80)}/"

    until(lambda: says(url, "web"), what="the route")


def test_istiod_refuses_what_is_wrong(mesh_cluster: Cluster, namespace: Namespace) -> None:
    route = {"destination": {"host": "web"}, "weight": -1}
    wrong = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "wrong", "namespace": namespace(mesh_cluster)},
        "spec": {"hosts": ["web"], "http": [{"route": [route]}]},
    }

    def is_refused() -> bool:
        try:
            mesh_cluster.apply(wrong)
        except RuntimeError as error:
            return "validation.istio.io" in str(error) and "weight -1" in str(error)
        return False

    until(is_refused, what="the refusal")


@pytest.mark.parametrize("nodes", ["fake", "real"])
def test_nothing_is_left_of_a_cluster_whose_tests_are_killed(nodes: clusters.Nodes, tmp_path: Path) -> None:
    need(clusters.obstacle(nodes))
    script = (
        "import sys\n"
        "from tests.servers import clusters\n"
        f"with clusters.cluster(nodes={nodes!r}) as one:\n"
        "    print(one.place.folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_here()
    ) as tests:
        assert tests.stdout is not None
        folder = Path(tests.stdout.readline().strip())
        assert _users(folder)
        tests.send_signal(signal.SIGKILL)
    until(lambda: not folder.exists() and not _users(folder), what="the end of everything")
    groups = Path("/sys/fs/cgroup").glob(f"*/{folder.name}")
    assert [*groups] == []


def test_two_clusters_do_not_see_each_other(fake_cluster: Cluster, namespace: Namespace) -> None:
    space = namespace(fake_cluster)
    with clusters.cluster(nodes="fake") as other:
        assert space not in other.kubectl("get", "namespaces")
        assert "fake-1" in other.kubectl("get", "nodes")


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def _users(folder: Path) -> list[int]:
    """Processes that have to do with the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or ()):
            found.append(process.pid)
    return found
