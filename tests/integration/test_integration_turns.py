"""Several who deploy one application at once, from one machine and from two, take turns, and a command that is killed leaves nothing half
done: against a real API server, whose controllers write to the same objects meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, application, product
from tests.servers import clusters
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
ROUNDS = int(os.environ.get("AIC_TEST_TURNS", "3"))
PAUSES = [round(at * 2.4 / max(1, ROUNDS), 2) for at in range(ROUNDS)]
"""Seconds after which a command is killed: before it has asked for anything, while the cluster is written to, while pods are waited for."""
FILE = """\
app: turns
services:
  web: {{image: "registry.example.com/web:1", public: /, needs: [api], env: {{SAYS: "{says}"}}}}
  api: {{image: "registry.example.com/api:1", env: {{SAYS: "{says}"}}}}
environments:
  staging:
    target: kubernetes:///turns
"""
KINDS = "deployments,services,networkpolicies,serviceaccounts,ingresses"
Uids = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


@pytest.fixture
def here(cluster: Cluster) -> Iterator[Product]:
    with product() as made:
        made.set(KUBECONFIG=str(cluster.kubeconfig))
        yield made


@pytest.fixture
def there(cluster: Cluster) -> Iterator[Product]:
    with product() as made:
        made.set(KUBECONFIG=str(cluster.kubeconfig))
        yield made


def test_those_who_deploy_at_once_take_turns(cluster: Cluster, here: Product, there: Product, tmp_path: Path) -> None:
    here.aic("deploy", *written(tmp_path / "first", says="first"))
    kept = uids(cluster)
    for number in range(ROUNDS):
        said = {name: f"{name}-{number}" for name in ("one", "two", "three")}
        wishes = {name: written(tmp_path / name, says=text) for name, text in said.items()}
        places = {"one": here, "two": there, "three": here}
        running = {name: places[name].begun("deploy", *wish) for name, wish in wishes.items()}
        ended = {name: told(process) for name, process in running.items()}
        assert {name: code for name, (code, _) in ended.items()} == dict.fromkeys(said, 0), ended
        found = {says(cluster, name) for name in ("web", "api")}
        assert len(found) == 1 and found <= set(said.values()), "of one wish, whole"
        last = next(name for name, text in said.items() if text in found)
        assert planned(here, wishes[last]) == planned(there, wishes[last]) == []
        assert uids(cluster) == kept, "nothing was deleted and made again"


def test_there_and_back_at_once_deletes_nothing(
    cluster: Cluster, here: Product, there: Product, tmp_path: Path
) -> None:
    """A, B and A again, before the first has ended."""
    one, other = written(tmp_path / "one", says="A"), written(tmp_path / "other", says="B")
    here.aic("deploy", *one)
    kept = uids(cluster)
    for number in range(ROUNDS):
        running = [
            (here, there)[(number + at) % 2].begun("deploy", *wish) for at, wish in enumerate((other, one, other, one))
        ]
        assert [told(process)[0] for process in running] == [0] * 4
        assert uids(cluster) == kept
        assert says(cluster, "web") == says(cluster, "api") in ("A", "B")


def test_a_command_that_is_killed_leaves_nothing_half_done(
    cluster: Cluster, here: Product, there: Product, tmp_path: Path
) -> None:
    """The daemon makes the change without it, or never heard of it; whoever comes next makes it whole in either case."""
    here.aic("deploy", *written(tmp_path, says="first"))
    there.aic("server", "start")
    kept = uids(cluster)
    for number, pause in enumerate(PAUSES):
        wish = written(tmp_path, says=f"killed-{number}")
        process = here.begun("deploy", *wish)
        try:
            process.communicate(timeout=pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        (here, there)[number % 2].aic("deploy", *wish)
        assert planned(here, wish) == planned(there, wish) == []
        assert says(cluster, "web") == says(cluster, "api") == f"killed-{number}"
        assert uids(cluster) == kept


def written(folder: Path, *, says: str) -> tuple[str, ...]:
    """What a command is told to deploy it."""
    return (str(application(folder, FILE.format(says=says))), "--to", "staging")


def told(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


def planned(made: Product, wish: tuple[str, ...]) -> Any:
    return json.loads(made.aic("plan", *wish, "--json"))


def says(cluster: Cluster, name: str) -> str:
    container = cluster.get("deployment", f"{name}-v1", namespace="turns")["spec"]["template"]["spec"]["containers"][0]
    return next(str(one["value"]) for one in container["env"] if one["name"] == "SAYS")


def uids(cluster: Cluster) -> Uids:
    """Who is who: a deleted one that was made again is another."""
    found = json.loads(cluster.kubectl("-n", "turns", "get", KINDS, "-o", "json"))["items"]
    return {(one["kind"], one["metadata"]["name"]): one["metadata"]["uid"] for one in found}
