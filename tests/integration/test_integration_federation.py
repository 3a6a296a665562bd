"""Two nodes, two trust domains: who may call across, and who is refused, with a real Envoy on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import Mistake
from aiculturekit.mesh import federations, meshes, refusals
from aiculturekit.mesh.envoy import clusters
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Gateway, Node, Remote, Service, Version
from aiculturekit.mesh.rotations import Lives
from aiculturekit.mesh.rules import Access
from benchmarks.products import Product, product
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

WEB = "spiffe://a.test/ns/shop/sa/web"
PAY = Remote("b.test", "bank", "pay")


class Pair:
    """On a.test, `web` and `spy` need bank/pay of b.test, which names only `web`."""

    def __init__(self, a: Mesh, b: Mesh, folder: Path) -> None:
        self.a, self.b, self._folder = a, b, folder
        ports = stages.free_ports(10)
        self.ingress_a, self.ingress_b, self.web, self.spy = (next(ports) for _ in range(4))
        self.gateway, self.pay, self._proxies = next(ports), next(ports), [next(ports), next(ports)]

    async def federate(self) -> None:
        """Exchange bundles, as files."""
        for own, other, address in ((self.a, self.b, f"127.0.0.1:{self.gateway}"), (self.b, self.a, "")):
            source = self._folder / f"{other.trust.domain}.json"
            source.write_text(json.dumps(await other.trust.bundle()))
            await own.trust.federation.add(other.trust.domain, source=str(source), address=address)
        await self.apply()

    async def apply(self, *, foreign: tuple[str, ...] = (WEB,)) -> None:
        callers = tuple(
            Caller("shop", name, proxy, remotes={PAY: port})
            for name, proxy, port in zip(("web", "spy"), self._proxies, (self.web, self.spy), strict=True)
        )
        a = Node(
            self.ingress_a, callers=callers, trust_domain="a.test", neighbours=self.a.trust.federation.neighbours()
        )
        pay = Service("bank", "pay", (Version("v1", self.pay),), access=Access(foreign=foreign))
        b = Node(
            self.ingress_b,
            services=(pay,),
            trust_domain="b.test",
            neighbours=self.b.trust.federation.neighbours(),
            gateway=Gateway("127.0.0.1", self.gateway),
        )
        await self.a.apply(a)
        await self.b.apply(b)

    async def status(self, port: int) -> int | str:
        try:
            return (await stages.get(port)).status
        except (OSError, asyncio.IncompleteReadError) as error:
            return type(error).__name__


@contextlib.asynccontextmanager
async def pair(folder: Path, lives: Lives = Lives(), **options: Any) -> AsyncIterator[Pair]:  # noqa: B008
    a, b = (Mesh(home=folder / name, trust_domain=f"{name}.test", lives=lives, **options) for name in ("a", "b"))
    await a.start()
    try:
        await b.start()
        try:
            yield Pair(a, b, folder)
        finally:
            await b.stop()
    finally:
        await a.stop()


def context(folder: Path, mesh: str, who: str, roots: str) -> ssl.SSLContext:
    """A client that shows a workload's own certificate, and verifies by the roots of that home."""
    secret = json.loads((folder / mesh / "mesh" / "sds" / f"{who}.json").read_text())
    pair_ = secret["resources"][0]["tls_certificate"]
    files = []
    for name in ("certificate_chain", "private_key"):
        files.append(folder / f"{who}-{name}.pem")
        files[-1].write_text(pair_[name]["inline_string"])
    made = ssl.create_default_context(cafile=str(folder / roots / "ca" / "roots.pem"))
    made.check_hostname = False
    made.load_cert_chain(*files)
    return made


async def greeted(port: int, tls: ssl.SSLContext, server_name: str) -> str:
    """What a direct call of the gateway gets: the status line, or the error's name."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=server_name)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        line = (await reader.readline()).decode().strip()
        writer.close()
        return line or "closed"
    except OSError as error:
        return type(error).__name__


async def test_a_workload_of_one_node_calls_a_service_of_the_other(tmp_path: Path) -> None:
    async with pair(tmp_path) as both, stages.Replica("pay") as pay:
        await both.apply()
        assert await both.status(both.web) == "ConnectionRefusedError", "not federated: there is no way"
        await both.federate()
        await both.b.publish("bank", "pay", version="v1", ports=[pay.port])
        answer = await stages.get(both.web)
        assert answer.status == 200
        assert f"URI={WEB}" in str(answer.json["headers"]), "the replica learns who called"
        spied = await stages.get(both.spy)
        assert spied.status == 403, "a certificate is not a permission"
        assert b"bank/pay: its `access.foreign` does not name that workload" in spied.body
        log = tmp_path / "b" / "mesh" / "refusals.log"
        await stages.until(lambda: log.exists() and log.read_bytes().count(b"\n"))
        refusal = refusals.parse(log.read_bytes().splitlines()[-1])
        assert refusal and (refusal.kind, refusal.source) == ("foreign", "spiffe://a.test/ns/shop/sa/spy")

        await both.apply(foreign=())
        assert await both.status(both.web) in (403, 503), "nobody is named"
        await both.apply()
        assert await both.status(both.web) == 200

        both.b.trust.federation.remove("a.test")
        await both.apply()
        assert await both.status(both.web) in (403, 503), "on the open connection too: the bundle is removed"
        await both.federate()
        assert await both.status(both.web) == 200
        both.a.trust.federation.remove("b.test")
        await both.apply()
        assert await both.status(both.web) == "ConnectionRefusedError"


async def test_the_gateway_admits_only_who_the_right_domain_vouches_for(tmp_path: Path) -> None:
    async with pair(tmp_path) as both, stages.Replica("pay") as pay:
        await both.federate()
        await both.b.publish("bank", "pay", version="v1", ports=[pay.port])
        good = context(tmp_path, "a", "shop~web", "b")
        assert await greeted(both.gateway, good, "pay.bank.b.test") == "HTTP/1.1 200 OK"
        assert "200" not in await greeted(both.gateway, good, "pay.shop.b.test"), "no such service here"
        bare = ssl.create_default_context(cafile=str(tmp_path / "b" / "ca" / "roots.pem"))
        bare.check_hostname = False
        assert "200" not in await greeted(both.gateway, bare, "pay.bank.b.test"), "no certificate"
        own = context(tmp_path, "b", "bank~pay", "b")
        assert "200" not in await greeted(both.gateway, own, "pay.bank.b.test"), "the node's own domain is no neighbour"
        forger = Mesh(home=tmp_path / "forger", trust_domain="a.test")
        await forger._certificates.ensure(
            [("shop", "web")], trust_domain="a.test", now=asyncio.get_running_loop().time()
        )
        forged = context(tmp_path, "forger", "shop~web", "b")
        assert "200" not in await greeted(both.gateway, forged, "pay.bank.b.test"), "the name is right, the root is not"


async def test_a_domain_cannot_vouch_for_another(tmp_path: Path) -> None:
    """b trusts a.test and c.test; c's authority issues a certificate in a.test's name."""
    async with pair(tmp_path) as both, stages.Replica("pay") as pay:
        await both.federate()
        await both.b.publish("bank", "pay", version="v1", ports=[pay.port])
        c = Mesh(home=tmp_path / "c", trust_domain="c.test")
        source = tmp_path / "c.json"
        source.write_text(json.dumps(await c.trust.bundle()))
        await both.b.trust.federation.add("c.test", source=str(source))
        await both.apply()
        assert await both.status(both.web) == 200
        forged = await issued_by(tmp_path / "c", "a.test", ("shop", "web"), tmp_path)
        assert "200" not in await greeted(both.gateway, forged, "pay.bank.b.test")
        with pytest.raises(Mistake, match=r"no root of d\.test"):
            await both.b.trust.federation.add("d.test", source=str(source))
        with pytest.raises(Mistake, match="own trust domain"):
            await both.b.trust.federation.add("b.test", source=str(source))
        assert [one.name for one in both.b.trust.federation.domains] == ["a.test", "c.test"]


async def test_a_root_is_replaced_while_neighbours_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both roots, one after the other; the bundles come from files that the other node writes anew."""
    monkeypatch.setattr(federations, "_OFTEN", 0.3)
    monkeypatch.setattr(federations, "_SELDOM", 0.3)
    monkeypatch.setattr(meshes, "_LOOKING", 0.3)
    monkeypatch.setattr(clusters, "HOP_LIFE", 1.0)
    async with pair(tmp_path, Lives(leaf=24, ahead=12)) as both, stages.Replica("pay") as pay:
        await both.federate()
        await both.b.publish("bank", "pay", version="v1", ports=[pay.port])
        async with stages.Load(
            both.web, clients=4
        ) as load:  # within these seconds, on whatever machine, bundles are read and leaves made
            for mesh in (both.a, both.b):
                [old] = mesh.trust.roots
                await mesh.trust.rotate()
                deadline = time.monotonic() + 90
                while [old] == list(mesh.trust.roots) or len(mesh.trust.roots) > 1:
                    assert time.monotonic() < deadline
                    source = tmp_path / f"{mesh.trust.domain}.json"
                    source.write_text(json.dumps(await mesh.trust.bundle()))
                    await asyncio.sleep(0.2)
                assert mesh.trust.signer != old.name
        assert load.failed == [] and load.done > 100


async def issued_by(home: Path, domain: str, identity: tuple[str, str], folder: Path) -> ssl.SSLContext:
    """A certificate in `domain`'s name that the authority of `home`, which is of another domain, has signed."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom aiculturekit.mesh import svids\n"
        "from aiculturekit.mesh.rotations import Lives\n"
        "root = svids.read(next(Path(sys.argv[1]).glob('ca/root-*.pem')).read_bytes())\n"
        "leaf = svids.issue(root, (sys.argv[3], sys.argv[4]), trust_domain=sys.argv[2], lives=Lives(), now=time.time())\n"
        "print(svids.pem(leaf[0]) + svids.key_pem(leaf[1]))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(home), domain, *identity, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    file = folder / "forged.pem"
    file.write_bytes(out)
    made = ssl.create_default_context(cafile=str(folder / "b" / "ca" / "roots.pem"))
    made.check_hostname = False
    made.load_cert_chain(file)
    return made


SHOP = """\
app: shop
services:
  web:
    run: python server.py
    public: /
    needs: ["mesh://b.test/bank/pay"]
"""
BANK = """\
app: bank
services:
  pay:
    run: python server.py
    access: {foreign: spiffe://a.test/ns/shop/sa/web}
"""
ANSWERS = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, raw = 200, b"paid"
        if url := os.environ.get("PAY_URL") if self.path == "/" else None:
            try: raw = urlopen(url, timeout=9).read()
            except OSError as error: status, raw = 502, str(error).encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def answered(made: Product) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", made.ingress, timeout=20)
    connection.request("GET", "/")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_two_daemons_federate_by_the_command_line(tmp_path: Path) -> None:
    with product() as a, product() as b:
        for made, name, text in ((a, "a", SHOP), (b, "b", BANK)):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "server.py").write_text(ANSWERS)
            (folder / "aic.yaml").write_text(text)
            made._environment["AIC_TRUST_DOMAIN"] = f"{name}.test"
            made.aic("up", "-d", str(folder))
        assert answered(a)[0] == 502, "not federated"
        gateway = b.status()["trust"]["gateway"]
        bundle = f"{b.status()['api']}/api/v1/mesh/bundle"
        a.aic("mesh", "federate", "add", "b.test", "--bundle", bundle, "--address", gateway)
        assert answered(a)[0] == 502, "one side alone is not enough"
        (tmp_path / "a.pem").write_text(a.aic("mesh", "bundle", "--format", "pem"))
        b.aic("mesh", "federate", "add", "a.test", "--bundle", str(tmp_path / "a.pem"))
        assert answered(a) == (200, "paid")
        [row] = json.loads(a.aic("mesh", "federate", "list", "--json"))
        assert (row["domain"], row["address"], row["source"], row["roots"]) == ("b.test", gateway, bundle, 1)
        os.kill(b.status()["daemon"]["pid"], signal.SIGKILL)
        assert answered(a) == (200, "paid")
        b.aic("server", "start")
        assert answered(a) == (200, "paid"), "what was agreed is kept"
        b.aic("mesh", "federate", "remove", "a.test")
        assert answered(a)[0] == 502
