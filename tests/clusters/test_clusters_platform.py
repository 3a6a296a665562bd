"""The platform in a real cluster: installed by its own command, entered by its password, and deployed through; its leader is killed in the
middle of a deploy, twice over, and the deploy ends."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from aiculturekit.targets.kubernetes.elections import LEADER
from tests.clusters import shops
from tests.images import bases
from tests.servers import databases, machines
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
SPACE, APP = "tools", "hello"
FILE = f"""\
app: {APP}
services:
  web: {{image: "{machines.IMAGES["echo"]}", scale: 2, health: /healthz, env: {{VERSION: "%s"}}}}
environments:
  staging: {{target: "kubernetes://elsewhere/{APP}"}}
"""


class Platform:
    def __init__(self, cluster: Cluster, folder: Path, target: str, words: tuple[str, ...]) -> None:
        self.cluster, self.folder, self.target, self.words = cluster, folder, target, words
        self.api, self.token = "", ""

    def aic(self, *words: str, **told: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "AIC_HOME": str(self.folder / "home"),
            "KUBECONFIG": str(self.cluster.kubeconfig),
            **told,
        }
        command = [sys.executable, "-m", "aiculturekit.cli.main", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=580, check=False)

    def install(self) -> dict[str, Any]:
        done = self.aic("install", "kubernetes", self.target, *self.words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        self.api, self.token = f"http://{self.cluster.dial_service('aic', namespace=SPACE)}", self.password
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @property
    def password(self) -> str:
        return self.kubectl("get", "secret", "aic-password", "-o", "go-template={{.data.password|base64decode}}")

    @property
    def leader(self) -> str:
        return self.kubectl("get", "pods", "-l", f"{LEADER}=true", "-o", "jsonpath={.items[*].metadata.name}")

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("-n", SPACE, *words)

    def deploy(self, version: str, *words: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "aic.yaml").write_text(FILE % version)
        told = {"AIC_SERVER": self.api, "AIC_TOKEN": self.password}
        done = self.aic("deploy", str(self.folder), "--to", "staging", *words, **told)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def ask(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.get(f"{self.api}/api/v1/{path}", headers=headers, timeout=1, trust_env=False)

    def states(self) -> list[str]:
        """Of the releases, newest first."""
        return [one["state"] for one in self.ask(f"placements/{APP}@staging/releases").raise_for_status().json()]

    def version(self) -> str:
        container = self.cluster.get("deployment", "web-v1", namespace=APP)["spec"]["template"]["spec"]["containers"][0]
        return next(str(one["value"]) for one in container["env"] if one["name"] == "VERSION")


@pytest.fixture(scope="module")
def platform(real_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    need(shops.obstacle())
    folder = tmp_path_factory.mktemp("platform")
    registry.push(databases.postgres(folder / "postgres.tar"), "library/postgres:18")
    real_cluster.apply(shops.volume(folder / "volumes", {"namespace": SPACE, "name": "state-data"}))
    target = f"kubernetes:///{SPACE}?mirror={registry.address}"
    words = ("--registry", f"http://{registry.address}/tools", "--base", bases.layout(folder / "base"))
    yield Platform(real_cluster, folder, target, words)


def until(is_so: Callable[[], bool], *, seconds: float = 120) -> float:
    """How long it took."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(httpx.HTTPError, RuntimeError):
            if is_so():
                return time.monotonic() - began
        assert time.monotonic() < began + seconds, "it did not come to be so"
        time.sleep(0.1)


def test_it_is_installed_with_one_command_and_one_leads(platform: Platform) -> None:
    began = time.monotonic()
    done = platform.install()
    sys.stdout.write(f"installed in {time.monotonic() - began:.0f} s\n")
    assert "@sha256:" in done["image"] and "port-forward service/aic" in done["forward"]
    deployment = platform.cluster.get("deployment", "aic-v1", namespace=SPACE)
    assert deployment["status"]["readyReplicas"] == 2
    until(lambda: len(platform.leader.split()) == 1)
    lease = platform.cluster.get("lease", "aic-aic", namespace=SPACE)
    assert lease["spec"]["holderIdentity"] == platform.leader
    until(lambda: platform.ask("placements").json() == [])


def test_its_console_wants_the_password(platform: Platform) -> None:
    with httpx.Client(base_url=platform.api, timeout=20, trust_env=False) as browser:
        assert browser.get("/platform").headers["location"] == "/login?next=%2Fplatform"
        assert browser.get("/api/v1/placements").status_code == 401
        assert browser.post("/login", data={"password": "wrong"}).status_code == 401
        assert browser.post("/login", data={"password": platform.password}).status_code == 303
        assert browser.get("/platform").status_code == 200
        assert browser.get("/api/v1/placements").status_code == 200


def test_an_application_is_deployed_through_it(platform: Platform) -> None:
    platform.deploy("1")
    assert platform.cluster.get("deployment", "web-v1", namespace=APP)["status"]["readyReplicas"] == 2
    assert platform.states() == ["current"]


@pytest.mark.parametrize("way", ["deleted", "forced", "killed"])
def test_a_deploy_outlives_the_pod_that_makes_it(way: str, platform: Platform) -> None:
    before, was = platform.leader, platform.states()
    platform.deploy(way, "--detach")
    until(lambda: platform.version() == way)
    assert platform.states()[0] != "current"  # it is under way
    with silence(platform) as longest:
        began = time.monotonic()
        _end(platform, before, way)
        until(lambda: way == "killed" or platform.leader not in ("", before))
        until(lambda: platform.states() == ["current", *["superseded"] * len(was)])
        took = time.monotonic() - began
    assert platform.version() == way
    assert platform.cluster.get("deployment", "web-v1", namespace=APP)["status"]["updatedReplicas"] == 2
    until(lambda: len(platform.leader.split()) == 1)
    assert longest() < 60
    sys.stdout.write(f"{way}: no answer for {longest():.1f} s, deployed after {took:.1f} s\n")
    platform.cluster.rolled_out("aic-v1", namespace=SPACE, seconds=120)


@contextlib.contextmanager
def silence(platform: Platform) -> Iterator[Callable[[], float]]:
    """The longest time without an answer of the API, asked ten times a second."""
    answered, is_over = [time.monotonic()], threading.Event()

    def ask() -> None:
        while not is_over.wait(0.1):
            with contextlib.suppress(httpx.HTTPError):
                if platform.ask("placements").status_code == 200:
                    answered.append(time.monotonic())

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield lambda: max(after - before for before, after in itertools.pairwise(answered))
    finally:
        is_over.set()
        asking.join()


def _end(platform: Platform, pod: str, way: str) -> None:
    if way == "killed":
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error):
                if "aiculturekit.boots" in (process.info["cmdline"] or ()) and process.environ().get("AIC_POD") == pod:
                    process.send_signal(signal.SIGKILL)
        return
    force = ("--grace-period=0", "--force") if way == "forced" else ()
    platform.kubectl("delete", "pod", pod, "--wait=false", *force)


def test_a_deploy_outlives_the_state_database(platform: Platform) -> None:
    was = platform.states()
    platform.deploy("restarted", "--detach")
    until(lambda: platform.version() == "restarted")
    platform.kubectl("delete", "pod", "state-0", "--grace-period=0", "--force")
    until(lambda: platform.states() == ["current", *["superseded"] * len(was)])
    assert platform.version() == "restarted"
    assert platform.cluster.get("deployment", "web-v1", namespace=APP)["status"]["updatedReplicas"] == 2


def test_installing_again_changes_nothing(platform: Platform) -> None:
    before, password = platform.cluster.get("deployment", "aic-v1", namespace=SPACE), platform.password
    platform.install()
    after = platform.cluster.get("deployment", "aic-v1", namespace=SPACE)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert platform.password == password


def test_taken_out_it_leaves_its_data_and_what_it_deployed(platform: Platform) -> None:
    password, known = platform.password, platform.states()
    done = platform.aic("uninstall", "kubernetes", platform.target, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"PersistentVolumeClaim state-data", "Secret aic-password"} <= set(json.loads(done.stdout)["kept"])
    until(lambda: platform.kubectl("get", "pods", "-o", "name") == "")
    assert platform.kubectl("get", "deployments,services,roles,jobs,leases", "-o", "name") == ""
    assert "tools" not in platform.cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert platform.cluster.get("deployment", "web-v1", namespace=APP)["status"]["readyReplicas"] == 2
    platform.install()
    until(lambda: platform.states() == known)
    assert platform.password == password
