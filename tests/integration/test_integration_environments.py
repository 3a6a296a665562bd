"""`aic env` in a real Kubernetes (nodes on which nothing runs; pods say how they do by their image's tag)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
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
    startup: 20s
    env: {{SAYS: "{says}"}}
    needs: [api]
  api: {{image: "registry.example.com/api:1"}}
environments:
  staging:
    target: kubernetes:///{app}-staging
  prod:
    target: kubernetes:///{app}-prod
    services: {{web: {{scale: 3, env: {{LEVEL: high, PASSWORD: "${{env.{app}_PASSWORD}}"}}}}}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[Product]:
    with product() as one:
        names = ("carried", "moved", "changed", "unwell", "recorded", "leading")
        one.set(KUBECONFIG=str(cluster.kubeconfig), **{f"{name}_PASSWORD": "pa55-word" for name in names})
        yield one


class App:
    def __init__(self, folder: Path, name: str, made: Product, cluster: Cluster) -> None:
        self.folder, self.name, self.made, self.cluster = folder, name, made, cluster

    def write(self, *, tag: str = "1", says: str = "hello") -> None:
        (self.folder / "aic.yaml").write_text(FILE.format(app=self.name, tag=tag, says=says))

    def deployed(self, environment: str, **values: str) -> None:
        self.write(**values)
        self.made.aic("deploy", str(self.folder), "--to", environment)

    def env(self, *words: str) -> Any:
        return json.loads(self.made.aic("env", *words, "--file", str(self.folder), "--json"))

    def listed(self) -> dict[str, dict[str, Any]]:
        return {row["environment"]: row for row in self.env("list")}

    def promote(self, *words: str) -> Any:
        return self.made.run("env", "promote", "staging", "prod", "--file", str(self.folder), *words)

    def container(self, environment: str) -> dict[str, Any]:
        found = self.cluster.get("deployment", "web-v1", namespace=f"{self.name}-{environment}")
        one: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
        return one


def test_what_runs_in_staging_is_brought_to_prod(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "carried", made, cluster)
    app.write()
    assert {row["state"] for row in app.env("list")} == {"down"}
    assert "nothing runs in carried@staging" in app.promote("--yes").stderr
    app.deployed("staging", tag="1", says="first")
    app.deployed("staging", tag="2", says="second")
    listed = app.listed()
    assert (listed["staging"]["state"], listed["staging"]["release"], listed["staging"]["ready"]) == ("serving", 2, 2)
    assert listed["prod"]["state"] == listed["local"]["state"] == "down"

    asked = app.promote()
    assert asked.returncode == 2  # nobody can be asked
    assert "staging runs release 2; in prod this would change:" in asked.stdout
    assert app.listed()["prod"]["state"] == "down"

    done = app.promote("--yes", "--json")
    assert done.returncode == 0, done.stderr
    container = app.container("prod")
    assert container["image"] == app.container("staging")["image"] == "registry.example.com/web:2"
    said = {one["name"]: one.get("value") for one in container["env"]}
    assert (said["SAYS"], said["LEVEL"]) == ("second", "high")
    releases = json.loads(made.aic("releases", "carried@prod", "--json"))
    assert [(one["state"], one["reason"]) for one in releases] == [("current", "what runs in staging, release 2")]
    assert app.promote("--yes").returncode == 0  # it is so already
    assert len(json.loads(made.aic("releases", "carried@prod", "--json"))) == 1

    found = app.env("diff", "staging", "prod")
    paths = {row["path"]: (row["a"], row["b"]) for row in found["file"]}
    assert paths["services.web.scale"] == (None, 3)
    assert paths["services.web.env.LEVEL"] == (None, "high")
    rows = {row["name"]: (row["a"], row["b"]) for row in found["workloads"]}
    assert rows["web"][0]["image"] == rows["web"][1]["image"]
    assert (rows["web"][0]["release"], rows["web"][1]["release"]) == (2, 1)
    assert {row["path"] for row in found["settings"]} >= {"env.LEVEL", "env.PASSWORD", "scale.min"}
    assert "pa55-word" not in json.dumps(found)
    assert "pa55-word" not in made.aic("env", "diff", "staging", "prod", "--file", str(tmp_path))


def test_a_tag_that_moved_is_brought_as_what_it_was_when_it_was_tried(
    tmp_path: Path, made: Product, cluster: Cluster
) -> None:
    """The nodes say what they pulled. Who runs it next pulls that, whatever the tag means by then."""
    app = App(tmp_path, "moved", made, cluster)
    app.deployed("staging", tag="latest")
    tried = f"sha256:{'a' * 64}"
    pulled(cluster, "moved-staging", "web", tried)
    done = app.promote("--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert app.container("prod")["image"] == f"registry.example.com/web:latest@{tried}"
    assert app.container("staging")["image"] == "registry.example.com/web:latest"  # as its file says
    assert app.promote("--yes").returncode == 0
    assert len(json.loads(made.aic("releases", "moved@prod", "--json"))) == 1, "it is so already"


def pulled(cluster: Cluster, namespace: str, workload: str, digest: str) -> None:
    """As a kubelet tells it of each pod; here nobody pulls anything."""
    listed = cluster.kubectl("-n", namespace, "get", "pods", "-l", f"app={workload}", "-o", "json")
    for pod in json.loads(listed)["items"]:
        status = pod["status"]["containerStatuses"][0] | {"imageID": f"registry.example.com/{workload}@{digest}"}
        words = ("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "-p")
        cluster.kubectl("-n", namespace, *words, json.dumps({"status": {"containerStatuses": [status]}}))


def test_a_file_that_has_changed_since_is_refused(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "changed", made, cluster)
    app.deployed("staging")
    app.write(says="something new")
    refused = app.promote("--yes")
    assert refused.returncode == 3
    assert "the file is not what runs in staging: workload web/v1: changed: env" in refused.stderr
    app.write(tag="7")
    assert "changed: image" in app.promote("--yes").stderr
    assert app.listed()["prod"]["state"] == "down"


def test_what_is_not_well_is_refused(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "unwell", made, cluster)
    app.deployed("staging")
    cluster.kubectl("-n", "unwell-staging", "scale", "deployment/web-v1", "--replicas=0")
    cluster.kubectl("-n", "unwell-staging", "delete", "deployment", "api-v1", "--wait=true")
    refused = app.promote("--yes")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert app.listed()["prod"]["state"] == "down"


def test_every_deploy_is_in_the_record_with_how_it_ended(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "recorded", made, cluster)
    committed(tmp_path)
    app.deployed("staging")
    made.aic("deploy", str(tmp_path), "--to", "staging")  # nothing to do
    app.write(tag="pull-error")
    assert made.run("deploy", str(tmp_path), "--to", "staging").returncode == 1
    app.deployed("staging", tag="2")
    made.aic("rollback", "recorded@staging")
    found = json.loads(made.aic("releases", "recorded@staging", "--stats", "--json"))
    assert [(one["verb"], one["outcome"], one["release"]) for one in found["latest"]] == [
        ("rollback", "done", 4), ("deploy", "done", 3), ("deploy", "failed", 2), ("deploy", "unchanged", 1), ("deploy", "done", 1)
    ]  # fmt: skip
    assert "ImagePullBackOff" in found["latest"][2]["message"]
    assert all(one["target"] == "kubernetes:///recorded-staging" for one in found["latest"])
    figures = found["figures"]
    assert figures["success_rate"]["value"] == 3 / 4
    assert figures["change_failure_rate"]["value"] == 1 / 2
    assert 0 < figures["restore_time_mean"]["value"] < 300
    assert 0 < figures["deploy_time_mean"]["value"] <= figures["deploy_time_p95"]["value"] < 300
    assert figures["lead_time_mean"]["of"] == 0 and figures["lead_time_mean"]["why"] == "the code was not as committed"
    assert found["platforms"] == ["kubernetes://"]
    (used,) = found["utilisation"]
    assert used["cpu"]["used"] is None and used["why"] == "the cluster has no metrics-server: what is used is not known"
    assert "deploys that succeed" in made.aic("releases", "recorded@staging", "--stats")


def test_lead_time_is_counted_from_the_commit(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "leading", made, cluster)
    app.write()
    committed(tmp_path)
    made.aic("deploy", str(tmp_path), "--to", "staging")
    app.promote("--yes")
    found = json.loads(made.aic("releases", "--stats", "--json"))
    mine = [one for one in found["latest"] if one["app"].startswith("leading@")]
    assert [(one["verb"], one["app"]) for one in mine] == [("promote", "leading@prod"), ("deploy", "leading@staging")]
    assert len({one["revision"] for one in mine}) == 1 and mine[0]["committed_at"]
    assert found["figures"]["lead_time_mean"]["of"] == 2
    assert 3600 < found["figures"]["lead_time_mean"]["value"] < 3600 + 600


def committed(folder: Path) -> None:
    """All that is there, an hour ago."""
    when = f"{int(time.time()) - 3600} +0000"
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    (folder / ".gitignore").write_text(".aic\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "all")):
        environment = {**os.environ, **who, "GIT_COMMITTER_DATE": when}
        subprocess.run(["git", "-C", folder, *words], check=True, env=environment)


def test_secrets_are_named_and_never_shown(tmp_path: Path, made: Product, cluster: Cluster) -> None:
    app = App(tmp_path, "carried", made, cluster)
    app.write()
    found = app.env("show", "prod")
    assert found["secrets"] == [
        {"at": "services.web.env.PASSWORD", "reference": "secret:env/carried_PASSWORD", "resolves": True, "why": ""}
    ]
    assert "pa55-word" not in made.aic("env", "show", "prod", "--file", str(tmp_path))
    assert app.env("show", "staging")["secrets"] == []
