"""A cluster whose API server answers 429 and 500, does not answer, or breaks connections off, one time in twenty: whatever comes of a deploy, it is
whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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
from tests.servers import clusters
from tests.servers.clusters import Cluster
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


class Faults:
    """Stands before the API server: one request in `every` fares badly, in one of five ways."""

    def __init__(self, server: str, context: ssl.SSLContext, *, every: int) -> None:
        self.host, _, port = server.removeprefix("https://").partition(":")
        self.port, self._context, self._every = int(port), context, every
        self._chance, self.done = random.Random(7), dict[str, int]()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            there, back = await asyncio.open_connection(self.host, self.port, ssl=self._context)
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    request = head + await reader.readexactly(_length(head))
                    if not await self._pass(request, writer, there, back):
                        break
            finally:
                back.close()
        writer.close()

    async def _pass(self, request: bytes, writer: Any, there: asyncio.StreamReader, back: Any) -> bool:
        """Whether the connection goes on."""
        kind = (
            self._chance.choice(("429", "500", "reset", "lost", "late"))
            if self._chance.randrange(self._every) == 0
            else "well"
        )
        self.done[kind] = self.done.get(kind, 0) + 1
        if kind in ("429", "500"):
            writer.write(_answer(kind))
            await writer.drain()
            return True
        if kind == "reset":  # before the server heard of it
            writer.transport.abort()
            return False
        back.write(request)
        answer = await _read(there)
        if kind == "lost":  # after it did what it was asked for
            writer.transport.abort()
            return False
        if kind == "late":
            await asyncio.sleep(1)
        writer.write(answer)
        await writer.drain()
        return True


def _answer(status: str) -> bytes:
    body = json.dumps(
        {"kind": "Status", "status": "Failure", "message": "as the test wants", "code": int(status)}
    ).encode()
    more = "retry-after: 1\r\n" if status == "429" else ""
    return (
        f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _length(head: bytes) -> int:
    for line in head.decode("latin-1").lower().split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.partition(":")[2])
    return 0


async def _read(there: asyncio.StreamReader) -> bytes:
    """One answer, whole."""
    head = await there.readuntil(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return head + await there.readexactly(_length(head))
    found = head
    while True:
        line = await there.readline()
        chunk = await there.readexactly(int(line.strip() or b"0", 16) + 2)
        found += line + chunk
        if line.strip() == b"0":
            return found


def _kubeconfig(cluster: Cluster, server: str, folder: Path) -> Path:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": server}
    config["users"][0]["user"] = {}
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return folder / "kubeconfig"


def _context(cluster: Cluster) -> ssl.SSLContext:
    pki = cluster.place.folder / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context


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
    faults = Faults(str(cluster.api.base_url).rstrip("/"), _context(cluster), every=20)
    async with faults.serving() as server:
        client = await clients.opened(context="", named=str(_kubeconfig(cluster, server, tmp_path)), asked="")
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
    assert faults.done["lost"] > 0 and faults.done["reset"] > 0
