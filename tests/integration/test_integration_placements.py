"""`aic deploy --to ENV` into a real Kubernetes: API server, controllers and scheduler, with nodes on which nothing runs (pods say how they do by
their image's tag)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.servers import clusters
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
FILE = """\
app: {app}
services:
  web:
    image: registry.example.com/web:{tag}
    public: /
    scale: {scale}
    startup: 20s
    env: {{SAYS: "{says}"}}
    needs: [api]
  api: {{image: "registry.example.com/api:1"}}
{extra}
environments:
  staging:
    target: kubernetes:///{app}
"""
WORKER = '  worker: {image: "registry.example.com/worker:1", needs: [api]}'


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[Product]:
    with product() as one:
        one.set(KUBECONFIG=str(cluster.kubeconfig))
        yield one


class App:
    """An application of its own name, with a namespace of that name."""

    def __init__(self, folder: Path, name: str, made: Product, cluster: Cluster) -> None:
        self.folder, self.name, self.made, self.cluster = folder, name, made, cluster
        self.key = f"{name}@staging"

    def write(self, *, tag: str = "1", says: str = "hello", scale: int = 2, extra: str = "") -> None:
        text = FILE.format(app=self.name, tag=tag, says=says, scale=scale, extra=extra)
        (self.folder / "aic.yaml").write_text(text)

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.made.run("deploy", str(self.folder), "--to", "staging", *words)

    def deployed(self, **values: Any) -> dict[str, Any]:
        self.write(**values)
        done = self.deploy("--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def plan(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.made.aic("plan", str(self.folder), "--to", "staging", "--json"))
        return found

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(kind, name, namespace=self.name)

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("-n", self.name, *words)

    def says(self) -> str:
        container = self.get("deployment", "web-v1")["spec"]["template"]["spec"]["containers"][0]
        return str(next(one["value"] for one in container["env"] if one["name"] == "SAYS"))

    def releases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.made.aic("releases", self.key, "--json"))
        return found


@pytest.fixture
def app(tmp_path: Path, made: Product, cluster: Cluster, request: pytest.FixtureRequest) -> App:
    name = "a" + "".join(filter(str.isalnum, request.node.name.removeprefix("test_")))[:24]
    return App(tmp_path, name, made, cluster)


def until(is_so: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.2)


def test_a_file_becomes_true_and_what_did_not_change_is_left_alone(app: App) -> None:
    app.write()
    assert {(step["action"], step["kind"]) for step in app.plan()} >= {("create", "workload"), ("create", "ingress")}
    assert app.deployed()["release"] == 1
    web, api = app.get("deployment", "web-v1"), app.get("deployment", "api-v1")
    assert web["status"]["readyReplicas"] == 2
    assert app.plan() == []
    assert app.deployed()["release"] == 1
    assert app.deployed(says="bye")["release"] == 2
    assert app.says() == "bye"
    assert app.get("deployment", "api-v1")["metadata"]["generation"] == api["metadata"]["generation"]
    changes = app.releases()[0]["changes"]
    assert [(one["kind"], one["name"], one["why"]) for one in changes] == [("workload", "web/v1", "changed: env")]


def test_an_unchanged_deploy_takes_two_seconds_at_most(app: App) -> None:
    app.deployed()
    took = min(app.made.timed("deploy", str(app.folder), "--to", "staging") for _ in range(3))
    assert took < 4  # two on a machine that does nothing else


def test_a_bad_image_goes_back_by_itself_while_the_old_pods_stay(app: App) -> None:
    app.deployed()
    before = set(app.kubectl("get", "pods", "-l", "app=web", "-o", "name").split())
    app.write(tag="pull-error")
    done = app.deploy()
    assert done.returncode == 1
    assert "ImagePullBackOff" in done.stderr
    image = app.get("deployment", "web-v1")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example.com/web:1"
    assert before <= set(app.kubectl("get", "pods", "-l", "app=web", "-o", "name").split())
    assert [one["state"] for one in app.releases()] == ["failed", "current"]
    app.write()
    assert app.plan() == []


def test_a_new_service_that_never_becomes_ready_is_taken_away_again(app: App) -> None:
    app.deployed()
    app.write(extra='  worker: {image: "registry.example.com/worker:crash", startup: 5s, needs: [api]}')
    done = app.deploy()
    assert done.returncode == 1
    assert "CrashLoopBackOff" in done.stderr
    until(lambda: "worker" not in app.kubectl("get", "deployments,networkpolicies,serviceaccounts,services"))


def test_what_is_not_wanted_any_more_goes_and_nothing_else(app: App) -> None:
    app.deployed(extra=WORKER)
    app.kubectl("create", "configmap", "theirs", "--from-literal=a=b")
    app.kubectl("label", "configmap", "theirs", "app.kubernetes.io/part-of=" + app.name)
    assert "worker-v1" in app.kubectl("get", "deployments")
    app.deployed()
    until(lambda: "worker" not in app.kubectl("get", "deployments,networkpolicies,serviceaccounts,services"))
    assert app.get("configmap", "theirs")["data"] == {"a": "b"}


def test_there_and_back_and_there_again_deletes_nothing(app: App) -> None:
    """However quickly: what is being deleted when it is wanted again comes back."""
    for _ in range(3):
        for extra in (WORKER, ""):
            app.deployed(extra=extra)
    app.deployed(extra=WORKER)
    assert app.plan() == []
    app.cluster.rolled_out("worker-v1", namespace=app.name)
    assert {"api", "web", "worker"} <= {row["name"] for row in workloads(app)}


def workloads(app: App) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(app.made.aic("ps", app.key, "--json"))
    return found


def test_what_somebody_changed_by_hand_is_put_right_with_a_word(app: App) -> None:
    app.deployed()
    app.kubectl("scale", "deployment/web-v1", "--replicas=5")
    app.kubectl("delete", "networkpolicy", "api")
    whys = " ".join(step["why"] for step in app.plan())
    assert "Deployment web-v1 was changed by kubectl" in whys
    assert "NetworkPolicy api is gone" in whys
    app.deployed()
    assert app.get("deployment", "web-v1")["spec"]["replicas"] == 2
    assert app.get("networkpolicy", "api")
    assert app.plan() == []


def test_what_another_program_manages_is_not_taken_from_it(app: App) -> None:
    app.deployed()
    patch = json.dumps({"spec": {"replicas": 7}})
    app.kubectl("patch", "deployment", "web-v1", "--field-manager=autoscaler-x", "--type=merge", "-p", patch)
    done = app.deploy()
    assert done.returncode == 3
    assert "autoscaler-x" in done.stderr and ".spec.replicas" in done.stderr
    assert app.get("deployment", "web-v1")["spec"]["replicas"] == 7
    assert app.deploy("--force-conflicts").returncode == 0
    assert app.get("deployment", "web-v1")["spec"]["replicas"] == 2


def test_an_object_that_is_not_ours_is_left_alone(app: App) -> None:
    app.cluster.kubectl("create", "namespace", app.name)
    app.kubectl("create", "serviceaccount", "web")
    app.write()
    done = app.deploy()
    assert done.returncode == 3
    assert f"there is a ServiceAccount web in {app.name} already" in done.stderr
    assert "deployment" not in app.kubectl("get", "deployments", "-o", "name")


def test_back_to_the_release_before(app: App) -> None:
    app.deployed()
    app.deployed(says="bye")
    app.made.aic("rollback", app.key)
    assert app.says() == "hello"
    assert app.releases()[0]["reason"] == "back to release 1"


def test_a_killed_daemon_is_followed_by_one_that_carries_on(app: App) -> None:
    app.deployed()
    app.write(tag="slow", says="later")
    process = started(app)
    until(lambda: app.says() == "later")
    os.kill(json.loads((app.made.home / "daemon.json").read_text())["pid"], signal.SIGKILL)
    process.wait(60)
    app.made.aic("server", "start")
    until(lambda: app.releases()[0]["state"] == "current")
    assert app.get("deployment", "web-v1")["status"]["updatedReplicas"] == 2
    assert app.plan() == []
    with product() as second:
        second.set(KUBECONFIG=str(app.cluster.kubeconfig))
        elsewhere = App(app.folder, app.name, second, app.cluster)
        assert second.run("plan", str(app.folder), "--to", "staging").returncode == 0
        done = elsewhere.deploy()
        assert done.returncode == 0, done.stdout + done.stderr
        newest = elsewhere.releases()[0]
        assert (newest["number"], newest["state"]) == (2, "current")


def started(app: App, home: Path | None = None) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "AIC_HOME": str(home or app.made.home),
        "AIC_ISOLATED": "1",
        "AIC_LANG": "en",
        "KUBECONFIG": str(app.cluster.kubeconfig),
    }
    words = [sys.executable, "-m", "aiculturekit", "deploy", str(app.folder), "--to", "staging"]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_machines_deploy_one_after_the_other_and_see_the_same(app: App, tmp_path: Path) -> None:
    app.deployed(tag="slow")
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    with product() as second:
        second.set(KUBECONFIG=str(app.cluster.kubeconfig))
        other = App(other_folder, app.name, second, app.cluster)
        other.write(tag="slow", says="second")
        app.write(tag="slow", says="first")
        with ThreadPoolExecutor(2) as pool:
            ends = [end.result() for end in [pool.submit(app.deploy), pool.submit(other.deploy)]]
        assert [end.returncode for end in ends] == [0, 0], [end.stdout + end.stderr for end in ends]
        last = app.says()
        other.write(tag="slow", says=last)
        app.write(tag="slow", says=last)
        assert (app.plan(), other.plan()) == ([], [])
        assert [one["number"] for one in app.releases()] == [one["number"] for one in other.releases()] == [3, 2, 1]
        second.aic("rollback", app.key)
        assert app.says() != last


def test_whoever_may_not_is_told_what_he_may_not(app: App, tmp_path: Path) -> None:
    app.deployed()
    app.kubectl("create", "serviceaccount", "guest")
    app.kubectl("create", "role", "reader", "--verb=get,list", "--resource=*.*")
    app.kubectl(
        "create", "role", "locker", "--verb=get,list,create,update", "--resource=leases.coordination.k8s.io,secrets"
    )
    for role in ("reader", "locker"):
        app.kubectl("create", "rolebinding", role, f"--role={role}", f"--serviceaccount={app.name}:guest")
    token = app.kubectl("create", "token", "guest").strip()
    config = app.cluster.kubectl("config", "view", "--raw", "-o", "json")
    found = json.loads(config)
    found["users"] = [{"name": found["users"][0]["name"], "user": {"token": token}}]
    (tmp_path / "guest").write_text(json.dumps(found))
    app.write(says="changed")
    environment = {"KUBECONFIG": str(tmp_path / "guest")}
    with product() as second:
        second.set(**environment)
        done = App(app.folder, app.name, second, app.cluster).deploy()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "patch" in done.stderr and "deployments" in done.stderr
    assert app.says() == "hello"


def token_of(app: App, account: str) -> str:
    """Of an account that may do everything."""
    binding = ("clusterrolebinding", f"{app.name}-{account}", "--clusterrole=cluster-admin")
    app.kubectl("create", "serviceaccount", account)
    app.cluster.kubectl("create", *binding, f"--serviceaccount={app.name}:{account}")
    return app.kubectl("create", "token", account).strip()


def test_a_program_of_the_kubeconfig_logs_in_and_is_asked_again_when_its_token_has_ended(
    app: App, tmp_path: Path
) -> None:
    app.deployed()
    token = token_of(app, "robot")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "TOKEN"},
    }
    program = tmp_path / "login"
    program.write_text(
        f"#!/bin/sh\ncase $KUBERNETES_EXEC_INFO in *client.authentication.k8s.io/v1*) ;; *) exit 4 ;; esac\n"
        f"echo asked >> {tmp_path}/asked\n[ -e {tmp_path}/ended ] && echo 'your session has ended' >&2 && exit 3\n"
        f"[ $(wc -l < {tmp_path}/asked) = 1 ] && token=ended || token={token}\n"
        f"echo '{json.dumps(credential)}' | sed s/TOKEN/$token/\n"
    )
    program.chmod(0o755)
    found = json.loads(app.cluster.kubectl("config", "view", "--raw", "-o", "json"))
    asked = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "IfAvailable"}
    found["users"] = [{"name": found["users"][0]["name"], "user": {"exec": asked}}]
    (tmp_path / "robot").write_text(json.dumps(found))
    with product() as second:
        second.set(KUBECONFIG=str(tmp_path / "robot"))
        other = App(app.folder, app.name, second, app.cluster)
        assert other.deployed(says="a program's")["release"] == 2
        assert len((tmp_path / "asked").read_text().split()) >= 2
        (tmp_path / "ended").touch()
        done = other.deploy()
    assert done.returncode == 1
    assert "your session has ended" in done.stderr and token not in done.stderr + done.stdout
    assert app.says() == "a program's"


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount of its own needs root")
def test_in_a_pod_its_own_account_logs_in(app: App, tmp_path: Path) -> None:
    """What a pod has: the account's files, and the server's address in two variables. No kubeconfig."""
    app.deployed()
    token, host, port = token_of(app, "pod"), app.cluster.api.base_url.host, app.cluster.api.base_url.port
    place = "/run/secrets/kubernetes.io/serviceaccount"
    app.write(says="a pod's")
    with product() as second:
        environment = {
            **{key: value for key, value in os.environ.items() if key != "KUBECONFIG"},
            "AIC_HOME": str(second.home), "AIC_ISOLATED": "1", "AIC_LANG": "en", "HOME": str(tmp_path),
            "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port), "TOKEN": token,
        }  # fmt: skip
        script = (
            f"mount -t tmpfs tmpfs /run; mkdir -p {place}; printf %s $TOKEN > {place}/token; unset TOKEN\n"
            f"cp {app.cluster.place.folder}/pki/ca.crt {place}/ca.crt; printf %s {app.name} > {place}/namespace\n"
            f"exec {sys.executable} -m aiculturekit deploy {app.folder} --to staging"
        )
        command = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-ec", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert app.says() == "a pod's"
    (newest, *_) = app.releases()
    assert (newest["number"], newest["state"]) == (2, "current")


def test_all_of_it_goes_and_what_is_protected_stays(app: App) -> None:
    extra = "resources:\n  files: {type: volume}\nprotect: [resources/files]"
    app.write()
    text = (app.folder / "aic.yaml").read_text().replace("needs: [api]", "needs: [api, resources/files]", 1)
    text = text.replace("scale: 2", "scale: 1").replace("environments:", f"{extra}\nenvironments:")
    (app.folder / "aic.yaml").write_text(text)
    app.cluster.apply(_volume(app.name))
    done = app.deploy()
    assert done.returncode == 0, done.stderr
    uid = app.get("pvc", "files-data")["metadata"]["uid"]
    app.made.aic("down", app.key, "--volumes", "--yes")
    until(lambda: "web" not in app.kubectl("get", "deployments,services,ingresses,networkpolicies"))
    assert app.get("pvc", "files-data")["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in app.get("pvc", "files-data")["metadata"]


def _volume(name: str) -> dict[str, Any]:
    """Room for a claim: nobody makes any here."""
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/nowhere/{name}"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def test_the_last_of_an_application_takes_its_namespace_along(app: App) -> None:
    app.deployed()
    app.made.aic("down", app.key)
    until(lambda: app.cluster.tried("get", "namespace", app.name).returncode != 0)
    assert app.deployed()["state"] == "done"
