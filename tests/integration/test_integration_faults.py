"""A cluster whose API server answers 429 and 500, does not answer, or breaks connections off, one time in twenty: whatever comes of a deploy, it is
whole."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit import state
from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import AicError, NeverReady
from aiculturekit.locator import Locator
from aiculturekit.plan import resources
from aiculturekit.spec import load
from aiculturekit.targets.kubernetes import clients, places
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.locks import Lock
from aiculturekit.targets.kubernetes.objects import labels
from aiculturekit.targets.kubernetes.target import Kubernetes
from tests.servers import clusters, faults
from tests.servers.clusters import Cluster
from tests.servers.faults import Fate, Faults
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
DEPLOYS = int(os.environ.get("AIC_TEST_DEPLOYS", "60"))
FILE = """\
app: {app}
services:
  web: {{image: "registry.example.com/web:{tag}", startup: 5s, public: /, needs: [api], env: {{SAYS: "{says}"}}}}
  api: {{image: "registry.example.com/api:1"}}
{extra}
"""
WORKER = '  worker: {image: "registry.example.com/worker:1", needs: [api]}'


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


class Worker:
    """Deploys one application over and over: every other time as it was or otherwise, now and then what cannot become ready."""

    def __init__(self, client: Client, cluster: Cluster, folder: Path, app: str) -> None:
        self.client, self.cluster, self.folder, self.app = client, cluster, folder, app
        self.database = state.open("memory://")
        self.good = 0
        self.ended: list[str] = []

    async def deploy(self, number: int) -> None:
        is_bad = number % 10 == 9
        extra = WORKER if number % 3 == 1 else ""
        text = FILE.format(app=self.app, tag="crash" if is_bad else "1", says=number // 2, extra=extra)
        (self.folder / "aic.yaml").write_text(text)
        application = load.load(self.folder / "aic.yaml", variables={})
        place = places.parse(Locator.parse(f"kubernetes:///{self.app}"))
        target = Kubernetes(self.client, app=self.app, cluster=place)
        wanted = resources.documents(application, sources={})
        try:
            await target.prepare()
            lock = Lock(self.client, app=self.app, namespace=self.app, holder=self.app, labels=labels(self.app, place))
            async with lock.held(patience=60, tell=lambda message: None):
                target.wishes.require = lock.require
                wish = Change(app=self.app, verb="deploy", documents=wanted, keeps_holds=True)
                await Pipeline(database=self.database, target=target).apply(wish, emit=lambda kind, payload: None)
            self.ended.append("deployed")
        except NeverReady:
            self.ended.append("back" if is_bad else "wrongly back")
        except AicError as error:
            self.ended.append(f"{type(error).__name__}: {error.message}")
        await self.check(target, wanted, is_bad=is_bad)

    async def check(self, target: Kubernetes, wanted: Any, *, is_bad: bool) -> None:
        """What is there is the new or the old, whole: every document in force and every object as it was left."""
        observed = await target.observe(self.app)
        assert [one for one in observed if "drift" in one.body] == [], (self.ended[-1], observed)
        if self.ended[-1] == "deployed":
            assert {one.key: one.digest for one in observed} == {one.key: one.digest for one in wanted}


async def test_every_deploy_ends_whole(cluster: Cluster, tmp_path: Path) -> None:
    chance = random.Random(7)

    def choose(method: str) -> Fate:
        bad: tuple[Fate, ...] = ("429", "500", "reset", "lost", "late")
        return chance.choice(bad) if chance.randrange(20) == 0 else "well"

    proxy = Faults(cluster, choose=choose)
    async with proxy.serving() as server:
        client = await clients.opened(context="", named=str(faults.kubeconfig(cluster, server, tmp_path)), asked="")
        workers = []
        for at in range(4):
            (folder := tmp_path / str(at)).mkdir()
            workers.append(Worker(client, cluster, folder, f"faulty-{at}"))

        async def work(worker: Worker) -> None:
            for number in range(DEPLOYS // len(workers)):
                await worker.deploy(number)

        await asyncio.gather(*map(work, workers))
        await client.close()
    ended = [one for worker in workers for one in worker.ended]
    well = [one for one in ended if one in ("deployed", "back")]
    assert len(well) >= 0.999 * len(ended), [one for one in ended if one not in well]
    assert proxy.done["lost"] > 0 and proxy.done["reset"] > 0
