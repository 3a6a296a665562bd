"""`aic deploy --to ENV` with what is secret, into a real API server: every value is in Secrets there and nowhere else, neither there nor here."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.integration.test_integration_looks import call
from tests.integration.test_integration_secrets import Watch, asked, files, pages
from tests.servers import clusters
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
OLD, NEW, FILED, HALF = "the-first-value-of-it", "the-second-value-of-it", "the-text-of-a-file", "the-password-in-a-url"
FILE = """\
app: hush
services:
  web:
    image: registry.example.com/web:{tag}
    public: /
    startup: 10s
    env:
      PAID: "secret:env/PAID"
      API_TOKEN: "${{env.API_TOKEN}}"
      DATABASE: "mysql://me:${{env.HALF}}@db.example.com/x"
      CERT: "secret:file/cert.pem"
      THEIRS: "secret:kubernetes/theirs/key"
      LEVEL: "${{env.LEVEL:-info}}"
environments:
  staging: {{target: "kubernetes:///hush"}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


class Hush:
    def __init__(self, folder: Path, made: Product, cluster: Cluster) -> None:
        self.folder, self.made, self.cluster = folder, made, cluster
        self.told: list[str] = []
        (folder / "cert.pem").write_text(FILED)

    def run(self, *words: str, paid: str | None = None, tag: str = "1") -> Any:
        (self.folder / "aic.yaml").write_text(FILE.format(tag=tag))
        if paid is not None:
            self.made.set(PAID=paid, API_TOKEN=f"{paid}-token", HALF=HALF)
        done = self.made.run(*words[:1], str(self.folder), "--to", "staging", *words[1:])
        self.told += [done.stdout, done.stderr]
        return done

    def deploy(self, **values: Any) -> None:
        done = self.run("deploy", "--json", **values)
        assert done.returncode == 0, done.stdout + done.stderr

    def env(self) -> dict[str, Any]:
        spec = self.cluster.get("deployment", "web-v1", namespace="hush")["spec"]["template"]["spec"]
        return {one["name"]: one for one in spec["containers"][0]["env"]}

    def refers(self, name: str) -> str:
        return str(self.env()[name]["valueFrom"]["secretKeyRef"]["key"])

    def data(self, name: str) -> dict[str, str]:
        data = self.cluster.get("secret", name, namespace="hush")["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}


@pytest.fixture
def hush(tmp_path: Path, cluster: Cluster) -> Iterator[Hush]:
    with product() as made:
        made.set(KUBECONFIG=str(cluster.kubeconfig))
        yield Hush(tmp_path, made, cluster)


def test_a_value_is_in_the_cluster_s_secret_and_nowhere_else(hush: Hush) -> None:
    with Watch() as watch:
        hush.deploy(paid=OLD)
        assert hush.refers("PAID") == "PAID.1"
        assert hush.data("hush.env")["PAID.1"] == OLD
        assert hush.data("hush.env")["file.cert_pem.1"] == FILED
        assert hush.env()["DATABASE"]["value"] == "mysql://me:$(AIC_ENV_HALF)@db.example.com/x"
        assert hush.env()["LEVEL"]["value"] == "info"
        assert json.loads(hush.run("plan", "--json").stdout) == []
        (step,) = json.loads(hush.run("plan", "--json", paid=NEW).stdout)
        assert (step["kind"], step["name"]) == ("workload", "web/v1")
        hush.deploy()
        assert hush.refers("PAID") == "PAID.2"
        assert hush.run("deploy", paid="a-third-value-of-it", tag="never-ready").returncode != 0
        assert hush.refers("PAID") == "PAID.2"
        shown = told(hush)
    seen = {OLD, NEW, FILED, HALF, "a-third-value-of-it"}
    seen |= {base64.b64encode(one.encode()).decode().rstrip("=")[:-1] for one in seen}
    shown["the process list"] = "\n".join(watch.seen)
    shown |= {str(path): path.read_bytes().decode("utf-8", "replace") for path in files(hush.made)}
    shown |= objects(hush.cluster)
    found = {(place, value[:8]) for place, text in shown.items() for value in seen if value in text}
    assert found == set()
    assert len(shown) > 40


def told(hush: Hush) -> dict[str, str]:
    """What the command line, the API and the console say."""
    shown = {f"told {at}": text for at, text in enumerate(hush.told)}
    for words in (("ps", "hush@staging"), ("releases", "hush@staging", "--json"), ("status", "--json"), ("events",)):
        shown[f"aic {words[0]}"] = (done := hush.made.run(*words)).stdout + done.stderr
    with sqlite3.connect(f"file:{hush.made.home / 'state.db'}?mode=ro", uri=True) as database:
        shown["the journal"] = "".join(database.iterdump())
    assert "secret:env/PAID" in shown["the journal"]
    return shown | answers(hush.made) | pages(hush.made, "/", "/placements/hush@staging")


def answers(made: Product) -> dict[str, str]:
    paths = call(made, "openapi.json", prefix="/")[1]["paths"]
    values = {"placement": ["hush@staging"], "app": ["hush@staging"], "release": ["2"], "number": ["2", "3"]}
    found = {}
    for path in (one for one, about in paths.items() if "get" in about and ("{app}" in one or "{placement}" in one)):
        names = re.findall(r"{(\w+)[^}]*}", path)
        for chosen in itertools.product(*(values.get(name, ["web"]) for name in names)):
            place = path
            for name, value in zip(names, chosen, strict=True):
                place = re.sub(rf"{{{name}[^}}]*}}", value, place)
            found[f"GET {place}"] = asked(made, place)
    return found


def objects(cluster: Cluster) -> dict[str, str]:
    """All that the cluster has of it but for the Secret itself, with what is encoded or compressed in it read."""
    kinds = "deployments,replicasets,pods,configmaps,events,services,leases"
    listed = json.loads(cluster.kubectl("-n", "hush", "get", kinds, "-o", "json"))["items"]
    found = {f"{one['kind']} {one['metadata']['name']}": json.dumps(one) for one in listed}
    assert "Deployment web-v1" in found
    return found
