"""Two daemons of a cluster, as processes beside a real API server: one leads, the other takes over in the middle of a deploy, and nothing
is lost. (What they are inside of a cluster, tests/clusters says.)"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aiculturekit.targets.kubernetes.elections import LEADER
from tests.servers import clusters
from tests.servers.clusters import Cluster
from tests.servers.kubernetes import free_ports
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
FILE = """\
app: {app}
services:
  web: {{image: "registry.example.com/web:1", scale: 2, needs: [api], startup: 120s}}
  api: {{image: "registry.example.com/api:{tag}", startup: 120s}}
environments:
  staging: {{target: "kubernetes:///{app}"}}
"""
PASSWORD = secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


class One:
    """A daemon, in the place of a pod."""

    def __init__(self, name: str, folder: Path, cluster: Cluster, state: str) -> None:
        self.name, self.folder = name, folder / name
        (self.port,) = free_ports(1)
        (self.folder / ".kube").mkdir(parents=True)
        (self.folder / ".kube" / "config").write_text(cluster.kubeconfig.read_text())
        (self.folder / "password").write_text(PASSWORD)
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIC_", "KUBE"))},
            "HOME": str(self.folder),
            "AIC_HOME": str(self.folder / "home"),
            "AIC_STATE": state,
            "AIC_LEASE": "default/platform",
            "AIC_POD": name,
            "AIC_PASSWORD_FILE": str(self.folder / "password"),
            "AIC_API_PORT": str(self.port),
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "platform"}},
            "spec": {"containers": [{"name": "server", "image": "registry.example.com/aic:1"}]},
        }
        cluster.kubectl("apply", "-f", "-", given=yaml.safe_dump(pod))
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-OO", "-m", "aiculturekit.boots"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, cwd="/")
        return self.process

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {PASSWORD}"}
        return httpx.request(
            method, f"{self.api}/api/v1/{path}", headers=headers, timeout=30, trust_env=False, **options
        )

    @property
    def leads(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.ask("GET", "placements").status_code == 200
        return False


@pytest.fixture
def pair(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[One, One]]:
    """The first one leads."""
    state = f"sqlite:///{tmp_path / 'state.db'}"
    first = One("a", tmp_path, cluster, state)
    listed = [first]
    try:
        until(lambda: first.leads)
        listed.append(One("b", tmp_path, cluster, state))
        until(lambda: httpx.get(f"{listed[1].api}/readyz", trust_env=False).status_code == 200)
        yield first, listed[1]
    finally:
        for one in listed:
            if one.process.poll() is None:
                one.end(signal.SIGTERM)
            sys.stdout.write(f"--- {one.name}\n{(one.folder / 'log').read_text()[-3000:]}")
        cluster.kubectl("delete", "pod,lease", "--all", "--wait=false")


def until(is_so: Callable[[], bool], *, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if is_so():
                return
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.1)


def deploy(one: One, folder: Path, *, app: str, tag: str = "1", words: tuple[str, ...] = ()) -> Any:
    (folder / "aic.yaml").write_text(FILE.format(app=app, tag=tag))
    return aic(one, "deploy", str(folder), "--to", "staging", *words, home=folder / "home")


def aic(one: One, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    told = {"AIC_SERVER": one.api, "AIC_TOKEN": PASSWORD, "AIC_HOME": str(home), "AIC_AUTHOR": "ada"}
    command = [sys.executable, "-m", "aiculturekit.cli.main", *words]
    return subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=300, check=False)


def labelled(cluster: Cluster) -> str:
    return cluster.kubectl("get", "pods", "-l", f"{LEADER}=true", "-o", "jsonpath={.items[*].metadata.name}")


def test_one_serves_behind_its_password_and_the_other_waits(pair: tuple[One, One], cluster: Cluster) -> None:
    leader, other = pair
    assert labelled(cluster) == "a"
    assert other.ask("GET", "placements").status_code == 503
    assert httpx.get(f"{leader.api}/api/v1/placements", trust_env=False).status_code == 401
    assert httpx.get(f"{leader.api}/metrics", trust_env=False).status_code == 401
    assert leader.ask("GET", "status").json()["workloads"] == []
    refused = leader.ask("POST", "apps", json={"file": "/tmp"})
    assert refused.status_code == 403 and "sits in a cluster" in refused.json()["error"]["message"]
    assert httpx.get(f"{leader.api}/readyz", trust_env=False).status_code == 200


def test_a_browser_logs_in_and_stays_so_when_another_one_leads(pair: tuple[One, One]) -> None:
    leader, other = pair
    with httpx.Client(base_url=leader.api, trust_env=False, follow_redirects=False) as browser:
        asked = browser.get("/platform")
        assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fplatform")
        assert browser.post("/login", data={"password": "wrong"}).status_code == 401
        assert (
            browser.post("/login", data={"password": PASSWORD}, headers={"sec-fetch-site": "cross-site"}).status_code
            == 403
        )
        entered = browser.post("/login", data={"password": PASSWORD, "next": "/platform"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/platform")
        assert {"httponly", "samesite=strict"} <= {
            one.strip().lower() for one in entered.headers["set-cookie"].split(";")
        }
        assert browser.get("/platform").status_code == 200
        cookie = browser.cookies["aic_session"]
    leader.end(signal.SIGTERM)
    until(lambda: other.leads)
    again = httpx.get(f"{other.api}/platform", cookies={"aic_session": cookie}, trust_env=False)
    assert again.status_code == 200


def test_an_application_is_deployed_through_it(pair: tuple[One, One], cluster: Cluster, tmp_path: Path) -> None:
    leader, _ = pair
    done = deploy(leader, tmp_path, app="far", words=("--json",))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"] == 1
    assert cluster.get("deployment", "web-v1", namespace="far")["status"]["readyReplicas"] == 2
    planned = aic(leader, "plan", str(tmp_path), "--to", "staging", "--json", home=tmp_path / "home")
    assert json.loads(planned.stdout) == []
    shown = aic(leader, "ps", "far@staging", "--json", home=tmp_path / "home")
    assert {row["name"] for row in json.loads(shown.stdout)} == {"web", "api"}
    assert not (tmp_path / "home" / "daemon.json").exists()  # nothing was started here
    assert releases(leader, "far")[0]["author"] == "ada"
    with httpx.Client(base_url=leader.api, trust_env=False, follow_redirects=True, timeout=30) as browser:
        start = browser.post("/login", data={"password": PASSWORD}).text
        assert "far@staging" in start and "ada" in start and "/logout" in start
        environments = browser.get("/environments").text
        assert "/placements/far@staging" in environments and "2/2" in environments
        assert "Envoy" not in browser.get("/platform").text
        assert browser.post("/logout").url.path == "/login"
        assert browser.get("/").url.path == "/login"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told"])
def test_the_other_one_ends_a_deploy_that_was_under_way(
    number: signal.Signals, pair: tuple[One, One], cluster: Cluster, tmp_path: Path
) -> None:
    leader, other = pair
    app = f"kept{number.value}"
    assert deploy(leader, tmp_path, app=app).returncode == 0
    assert deploy(leader, tmp_path, app=app, tag="slow", words=("--detach",)).returncode == 0
    until(lambda: "slow" in image(cluster, app))
    leader.end(number)
    began = time.monotonic()
    until(lambda: other.leads)
    took = time.monotonic() - began
    until(lambda: releases(other, app)[0]["state"] == "current")
    assert [one["state"] for one in releases(other, app)] == ["current", "superseded"]
    assert "slow" in image(cluster, app)
    assert labelled(cluster) == "b"
    assert took < (10 if number == signal.SIGTERM else 45)
    sys.stdout.write(f"taken over after {took:.1f} s, all of it done after {time.monotonic() - began:.1f} s\n")


def test_one_that_slept_wakes_up_as_nobody(pair: tuple[One, One], cluster: Cluster, tmp_path: Path) -> None:
    leader, other = pair
    leader.process.send_signal(signal.SIGSTOP)
    until(lambda: other.leads)
    assert deploy(other, tmp_path, app="awake").returncode == 0
    leader.process.send_signal(signal.SIGCONT)
    assert leader.process.wait(30) != 0
    leader.start()
    until(lambda: httpx.get(f"{leader.api}/readyz", trust_env=False).status_code == 200)
    assert other.leads and not leader.leads
    assert labelled(cluster) == "b"


def image(cluster: Cluster, app: str) -> str:
    found = cluster.tried(
        "-n", app, "get", "deployment", "api-v1", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    return found.stdout


def releases(one: One, app: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = one.ask("GET", f"placements/{app}@staging/releases").json()
    return found


def test_what_was_accepted_and_not_yet_begun_is_begun_by_the_other_one(
    pair: tuple[One, One], cluster: Cluster, tmp_path: Path
) -> None:
    """Two deploys wait behind a third when the leader is killed; whoever asked for them was told yes."""
    leader, other = pair
    app = "queued"
    assert deploy(leader, tmp_path, app=app).returncode == 0
    assert deploy(leader, tmp_path, app=app, tag="slow", words=("--detach",)).returncode == 0
    until(lambda: "slow" in image(cluster, app))
    for tag in ("2", "3"):
        assert deploy(leader, tmp_path, app=app, tag=tag, words=("--detach",)).returncode == 0
    leader.end(signal.SIGKILL)
    until(lambda: other.leads)
    until(lambda: len(releases(other, app)) == 4 and releases(other, app)[0]["state"] == "current")
    assert [one["state"] for one in releases(other, app)] == ["current", *["superseded"] * 3]
    assert image(cluster, app).endswith(":3")


def test_who_follows_a_deploy_hears_its_end_from_the_other_one(
    pair: tuple[One, One], cluster: Cluster, tmp_path: Path
) -> None:
    """Through a door that leads to whoever leads, as a Service does."""
    leader, other = pair
    with door(pair) as port:
        (tmp_path / "aic.yaml").write_text(FILE.format(app="heard", tag="slow"))
        told = {"AIC_SERVER": f"http://127.0.0.1:{port}", "AIC_TOKEN": PASSWORD, "AIC_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "aiculturekit.cli.main", "deploy", str(tmp_path), "--to", "staging", "--json"]
        with subprocess.Popen(command, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True) as following:
            until(lambda: "slow" in image(cluster, "heard"))
            leader.end(signal.SIGTERM)
            said, _ = following.communicate(timeout=200)
    assert following.returncode == 0
    assert (json.loads(said)["state"], json.loads(said)["release"]) == ("done", 1)
    assert releases(other, "heard")[0]["state"] == "current"


@contextlib.contextmanager
def door(pair: tuple[One, One]) -> Iterator[int]:
    """Each connection goes to the one that leads when it is made."""

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            chosen = next((one for one in pair if one.leads), pair[1])
            with socket.create_connection(("127.0.0.1", chosen.port), 5) as server:
                server.settimeout(None)
                back = threading.Thread(target=copy, args=(server, client), daemon=True)
                back.start()
                copy(client, server)
                back.join()

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
