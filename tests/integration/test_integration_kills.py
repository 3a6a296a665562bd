"""A daemon that is killed (`kill -9`) in the moment of a request to the cluster, of each request in turn: whoever comes next, here or on another
machine, makes the application whole, and nothing that is wanted is ever deleted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, product
from tests.servers import clusters, faults
from tests.servers.clusters import Cluster
from tests.servers.faults import Fate, Faults
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
ROUNDS = int(os.environ.get("AIC_TEST_KILLS", "4"))
"""How many of the writes are met, evenly; all of them with a large number."""
FILE = """\
app: cut
services:
  web: {{image: "registry.example.com/web:1", public: /, needs: [api], env: {{SAYS: "{says}"}}}}
  api: {{image: "registry.example.com/api:1"}}
{extra}
environments:
  staging:
    target: kubernetes:///cut
"""
WORKER = '  worker: {image: "registry.example.com/worker:1", needs: [api]}'
Json = dict[str, Any]


class Killer:
    """Kills the product's daemon at the nth write from now on: before the server hears of it, or when it has done it."""

    def __init__(self) -> None:
        self.made: Product | None = None
        self._left, self._fate = 0, "well"
        self.seen = 0

    def aim(self, made: Product, *, at: int, fate: Fate) -> None:
        self.made, self._left, self._fate, self.seen = made, at, fate, 0

    @property
    def has_struck(self) -> bool:
        return self.made is None

    def rest(self) -> None:
        self.made = None

    def choose(self, method: str) -> Fate:
        if method == "GET" or self.made is None:
            return "well"
        self._left, self.seen = self._left - 1, self.seen + 1
        if self._left:
            return "well"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(json.loads((self.made.home / "daemon.json").read_text())["pid"], signal.SIGKILL)
        self.made = None
        return "lost" if self._fate == "lost" else "reset"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


class Cut:
    """The application, deployed from two machines through a proxy that knows when a write is sent."""

    def __init__(self, folder: Path, cluster: Cluster, killer: Killer, here: Product, there: Product) -> None:
        self.folder, self.cluster, self.killer, self.here, self.there = folder, cluster, killer, here, there

    def write(self, *, says: str, extra: str) -> None:
        (self.folder / "aic.yaml").write_text(FILE.format(says=says, extra=extra))

    def deploy(self, made: Product) -> None:
        done = made.run("deploy", str(self.folder), "--to", "staging")
        assert done.returncode == 0, done.stdout + done.stderr

    def is_killed(self, *words: str, at: int) -> bool:
        """Whether the daemon was killed meanwhile, by a command that tells so with its exit code."""
        self.killer.aim(self.here, at=at, fate="lost" if at % 2 else "reset")
        done = self.here.run(*words)
        has_struck = self.killer.has_struck
        self.killer.rest()
        assert has_struck or done.returncode == 0, done.stdout + done.stderr
        return has_struck

    def writes(self, *words: str) -> int:
        """How many a command sends that nobody kills."""
        self.killer.aim(self.here, at=10_000, fate="well")
        self.here.aic(*words)
        self.killer.rest()
        return self.killer.seen

    def is_gone(self) -> None:
        end = time.monotonic() + 60
        while self.cluster.tried("get", "namespace", "cut").returncode == 0:
            assert time.monotonic() < end, "the namespace does not go"
            time.sleep(0.2)

    def check(self, *, says: str, names: set[str]) -> None:
        """As the file says, whole, and seen so from both machines."""
        words = ("plan", str(self.folder), "--to", "staging", "--json")
        assert (json.loads(self.here.aic(*words)), json.loads(self.there.aic(*words))) == ([], [])
        found = json.loads(
            self.cluster.kubectl("-n", "cut", "get", "deployments,services,networkpolicies", "-o", "json")
        )
        kinds: dict[str, dict[str, Json]] = {}
        for one in found["items"]:
            kinds.setdefault(one["kind"], {})[one["metadata"]["name"]] = one
        assert set(kinds["Deployment"]) == {f"{name}-v1" for name in names}
        assert names <= set(kinds["Service"]) and names <= set(kinds["NetworkPolicy"])
        container = kinds["Deployment"]["web-v1"]["spec"]["template"]["spec"]["containers"][0]
        assert {"name": "SAYS", "value": says} in container["env"]
        releases = json.loads(self.here.aic("releases", "cut@staging", "--json"))
        assert [one["state"] for one in releases].count("current") == 1

    def uids(self) -> dict[tuple[str, str], str]:
        """Who is who, of what both wishes have: a deleted one that was made again is another."""
        words = ("get", "deployments,services,networkpolicies,serviceaccounts,ingresses", "-o", "json")
        found = json.loads(self.cluster.kubectl("-n", "cut", *words))["items"]
        names = {(one["kind"], one["metadata"]["name"]): one["metadata"]["uid"] for one in found}
        return {key: uid for key, uid in names.items() if not key[1].startswith("worker")}


@pytest.fixture
def cut(cluster: Cluster, tmp_path: Path) -> Iterator[Cut]:
    killer = Killer()
    with Faults(cluster, choose=killer.choose).beside() as server, product() as here, product() as there:
        kubeconfig = faults.kubeconfig(cluster, server, tmp_path)
        for made in (here, there):
            made.set(KUBECONFIG=str(kubeconfig))
        yield Cut(tmp_path, cluster, killer, here, there)


def points(writes: int) -> list[int]:
    """Which of so many writes are met: the first, the last, and others evenly between them."""
    count = min(ROUNDS, writes)
    return sorted({1 + round(at * (writes - 1) / max(1, count - 1)) for at in range(count)})


def test_a_change_that_was_cut_short_is_made_whole_by_the_next_deploy(cut: Cut) -> None:
    """There and back at each point: a service comes, and goes again."""
    wishes = ((WORKER, {"web", "api", "worker"}), ("", {"web", "api"}))
    cut.write(says="-1", extra="")
    cut.deploy(cut.here)
    kept, writes = cut.uids(), 0
    for extra, _ in wishes:
        cut.write(says="0", extra=extra)
        writes = max(writes, cut.writes("deploy", str(cut.folder), "--to", "staging"))
    for number, at in enumerate(points(writes), start=1):
        for extra, names in wishes:
            cut.write(says=str(number), extra=extra)
            cut.is_killed("deploy", str(cut.folder), "--to", "staging", at=at)
            cut.deploy(cut.here if number % 3 else cut.there)
            cut.check(says=str(number), names=names)
            assert cut.uids() == kept, at


def test_a_first_deploy_and_an_end_that_were_cut_short_are_made_whole(cut: Cut) -> None:
    cut.write(says="0", extra=WORKER)
    writes = cut.writes("deploy", str(cut.folder), "--to", "staging")
    ending = cut.writes("down", "cut@staging")
    for number, at in enumerate(points(writes), start=1):
        cut.is_gone()
        cut.is_killed("deploy", str(cut.folder), "--to", "staging", at=at)
        cut.deploy(cut.here if number % 3 else cut.there)
        cut.check(says="0", names={"web", "api", "worker"})
        cut.is_killed("down", "cut@staging", at=min(at, ending))
        cut.here.aic("down", "cut@staging")
