"""The mesh with the real Envoy: who may call whom, which version answers, what changes under load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.mesh import updates
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Breaker, Caller, Entry, Match, Node, Refusal, Retries, Service, Version

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


def free_ports(count: int) -> Iterator[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return iter(found)


class Replica:
    """A server that answers every request with its name and the headers it saw; /fail with 500, /slow after half a second."""

    def __init__(self, name: str) -> None:
        self.name, self.port, self.seen = name, 0, 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Replica:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
                self.seen += 1
                if headers.get("upgrade") == "websocket":
                    await self._echo(reader, writer)
                    return
                path = first.split()[1]
                if path.startswith("/slow"):
                    await asyncio.sleep(0.3)
                status = "500 No" if path.startswith("/fail") else "403 No" if path.startswith("/forbidden") else "200 OK"
                body = json.dumps({"name": self.name, "path": path, "headers": headers}).encode()
                writer.write(f"HTTP/1.1 {status}\r\nserver: secret\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data.upper())


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


class Client:
    """One kept connection; a request that finds it closed by the other side is made on a new one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str = "/", *, method: str = "GET", host: str = "x", **headers: str) -> Answer:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n{extra}\r\n".encode()
        async with asyncio.timeout(10):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            body = await reader.readexactly(int(found.get("content-length", 0)))
            if found.get("connection") == "close":
                self.close()
            return Answer(int(head[0].split()[1]), found, body)

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None


async def get(port: int, target: str = "/", **options: str) -> Answer:
    client = Client(port)
    try:
        return await client.get(target, **options)
    finally:
        client.close()


class Stage:
    """gw -> orders (v1, v2) and pay; ingress -> gw; orders may call nobody."""

    def __init__(self) -> None:
        self.ports = dict(zip(self._names(), free_ports(20), strict=False))

    @staticmethod
    def _names() -> list[str]:
        return "ingress gw orders1 orders2 pay gw-proxy gw-orders gw-pay orders-proxy db gw-db extra".split()

    def node(self, **changes: object) -> Node:
        p = self.ports
        orders = {"callers": ("gw",), "versions": (Version("v1", p["orders1"]),), **changes}
        return Node(
            ingress_port=p["ingress"],
            services=(
                Service("shop", "gw", (Version("v1", p["gw"]),), callers=("ingress",)),
                Service("shop", "orders", **orders),
                Service("shop", "pay", (Version("v1", p["pay"]),), callers=("gw",)),
                Service("shop", "db", (Version("v1", p["db"]),), callers=("gw",), protocol="tcp"),
            ),
            callers=(
                Caller("shop", "gw", p["gw-proxy"], {"orders": p["gw-orders"], "pay": p["gw-pay"], "db": p["gw-db"]}),
                Caller("shop", "orders", p["orders-proxy"]),
            ),
            entries=(Entry("shop", "/", "gw"), Entry("shop", "/api/orders", "orders")),
        )

    def split(self, first: float, second: float, match: Match | None = None) -> tuple[Version, ...]:
        v2 = Version("v2", self.ports["orders2"], second, match)
        return Version("v1", self.ports["orders1"], first), v2


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(home=tmp_path, node="test")
    await mesh.start()
    try:
        yield mesh
    finally:
        await mesh.stop()
        said = (tmp_path / "mesh" / "envoy.log").read_text()
        assert "Unknown field" not in said, said
        assert "deprecated" not in said.lower(), said


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def publish(mesh: Mesh, name: str, *replicas: Replica, version: str = "v1") -> None:
    await mesh.publish("shop", name, version=version, ports=[replica.port for replica in replicas])


async def until(condition, *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.02)


async def test_a_need_is_met_under_the_callers_own_identity(mesh: Mesh, stage: Stage) -> None:
    async with Replica("orders") as orders:
        await mesh.apply(stage.node())
        assert (await get(stage.ports["gw-orders"])).status == 503, "no replica: at once, not a hang"
        await publish(mesh, "orders", orders)
        answer = await get(stage.ports["gw-orders"], "/x?y=1", x_forwarded_client_cert="URI=spiffe://aic.local/ns/shop/sa/boss")
        seen = answer.json["headers"]["x-forwarded-client-cert"]
        assert answer.json["path"] == "/x?y=1"
        assert "URI=spiffe://aic.local/ns/shop/sa/gw" in seen and "boss" not in seen
        proxied = await get(stage.ports["gw-proxy"], "http://orders/y")
        assert (proxied.status, proxied.json["path"]) == (200, "/y")


async def test_what_is_not_needed_is_refused_and_reported(mesh: Mesh, stage: Stage) -> None:
    async with Replica("pay") as pay, Replica("orders") as orders:
        await mesh.apply(stage.node())
        await publish(mesh, "pay", pay)
        await publish(mesh, "orders", orders)
        seen: list[Refusal] = []

        async def listen() -> None:
            async for refusal in mesh.refusals():
                seen.append(refusal)

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        refused = await get(stage.ports["orders-proxy"], "http://pay/charge?card=4711", method="POST")
        assert (refused.status, pay.seen) == (403, 0)
        assert b"spiffe://aic.local/ns/shop/sa/orders may not call shop/pay" in refused.body
        own = await get(stage.ports["gw-orders"], "/forbidden")
        assert (own.status, own.json["name"]) == (403, "orders"), "a service's own 403 is no refusal, and is passed on"
        unknown = await get(stage.ports["orders-proxy"], "http://nobody/")
        assert unknown.status == 404 and b"gw, orders, pay" in unknown.body
        await until(lambda: seen)
        listener.cancel()
        [refusal] = seen
        assert (refusal.app, refusal.source, refusal.target) == ("shop", "orders", "pay")
        assert (refusal.method, refusal.path) == ("POST", "/charge"), "without the query, which may hold a secret"
        assert abs(refusal.at - time.time()) < 10


async def test_a_permission_is_taken_back_on_kept_connections(mesh: Mesh, stage: Stage) -> None:
    async with Replica("orders") as orders:
        await mesh.apply(stage.node())
        await publish(mesh, "orders", orders)
        client = Client(stage.ports["gw-orders"])
        assert (await client.get()).status == 200
        await mesh.apply(stage.node(callers=()))
        assert (await client.get()).status == 403
        await mesh.apply(stage.node())
        assert (await client.get()).status == 200
        client.close()


async def test_without_a_good_certificate_nobody_gets_in(mesh: Mesh, stage: Stage, tmp_path: Path) -> None:
    async with Replica("orders") as orders:
        await mesh.apply(stage.node())
        await publish(mesh, "orders", orders)
        foreign = tmp_path / "foreign"
        await Mesh(home=foreign)._certificates.ensure([("shop", "gw")], trust_domain="aic.local", now=time.time())
        assert await handshake(stage.ports["orders1"], tmp_path / "mesh" / "sds" / "shop~gw.json", tmp_path) == 200
        for secret in (None, foreign / "mesh" / "sds" / "shop~gw.json"):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await handshake(stage.ports["orders1"], secret, tmp_path)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await get(stage.ports["orders1"])
        assert orders.seen == 1


async def handshake(port: int, secret: Path | None, folder: Path) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca" / "roots.pem")
    if secret:
        pair = json.loads(secret.read_text())["resources"][0]["tls_certificate"]
        pem = folder / "pair.pem"
        pem.write_text(pair["certificate_chain"]["inline_string"] + pair["private_key"]["inline_string"])
        context.load_cert_chain(pem)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    writer.close()
    return int(head.split()[1])


async def test_versions_share_by_weight_and_a_match_claims_its_own(mesh: Mesh, stage: Stage) -> None:
    async with Replica("one") as one, Replica("two") as two:
        beta = Match(headers={"x-beta": "true"})
        await mesh.apply(stage.node(versions=stage.split(90, 10, beta)))
        await publish(mesh, "orders", one)
        await publish(mesh, "orders", two, version="v2")
        client = Client(stage.ports["gw-orders"])
        shares = Counter([(await client.get()).json["name"] for _ in range(2000)])
        assert abs(shares["two"] - 200) < 65, shares  # five standard deviations of a binomial
        claimed = Counter([(await client.get(x_beta="true")).json["name"] for _ in range(50)])
        assert claimed == {"two": 50}
        client.close()
        await mesh.edges()
        [first] = [edge for edge in await mesh.edges() if (edge.source, edge.version) == ("gw", "v1") and edge.target == "orders"]
        assert first.requests == shares["one"] and first.errors == 0


class Load:
    """Some clients that ask without a pause; every answer that is not `expected` and every broken connection is counted."""

    def __init__(self, port: int, *, clients: int = 8, expected: int = 200) -> None:
        self._port, self._expected = port, expected
        self._clients, self._tasks = clients, list[asyncio.Task[None]]()
        self.done, self.failed, self.names = 0, list[str](), Counter[object]()

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self) -> None:
        client = Client(self._port)
        while True:
            try:
                answer = await client.get()
                self.done += 1
                if answer.status != self._expected:
                    self.failed.append(f"{answer.status} {answer.body[:80]!r}")
                else:
                    self.names[answer.json["name"]] += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failed.append(repr(error))
                client.close()


async def test_swaps_weights_workloads_and_certificates_change_without_a_failed_request(
    mesh: Mesh, stage: Stage, tmp_path: Path
) -> None:
    async with Replica("a") as a, Replica("b") as b, Replica("c") as c:
        await mesh.apply(stage.node(versions=stage.split(50, 50)))
        await publish(mesh, "orders", a)
        await publish(mesh, "orders", b, version="v2")
        took: list[float] = []
        async with Load(stage.ports["gw-orders"]) as load:
            for turn in range(100):
                begun = time.monotonic()
                await publish(mesh, "orders", *((a, c), (c,), (a,))[turn % 3])
                took.append(time.monotonic() - begun)
            for turn in range(100):
                await mesh.apply(stage.node(versions=stage.split(100 - turn, turn), timeout=2.0 + turn))
            for turn in range(6):
                node = stage.node(versions=stage.split(50, 50), callers=("gw", "orders") if turn % 2 else ("gw",))
                smaller = Node(stage.ports["ingress"], node.services[:2], node.callers[:1], node.entries)
                await mesh.apply(smaller if turn % 2 else node)
            await rotate(mesh, tmp_path)
            await until(lambda: load.done > 500)
        assert load.failed == []
        assert set(load.names) == {"a", "b", "c"}
        assert sorted(took)[50] < 0.1, "a swap is in force in milliseconds"


async def rotate(mesh: Mesh, home: Path) -> None:
    """Everybody gets a new certificate now, and Envoy uses it."""
    certificates = mesh._certificates
    secret = home / "mesh" / "sds" / "shop~orders.json"
    before = secret.read_bytes()
    issued = await certificates.renew(now=time.time() + 13 * 3600)
    assert ("shop", "orders") in issued and secret.read_bytes() != before
    wanted = json.loads(secret.read_bytes())["version_info"]
    for _ in range(100):
        figures = await mesh._admin.stats(r"^sds\.shop/orders\.version_text$")
        if figures["stats"][0]["value"] == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("Envoy did not take up the new certificate")


async def test_openssl_accepts_the_chain_and_what_is_issued_is_private(mesh: Mesh, stage: Stage, tmp_path: Path) -> None:
    await mesh.apply(stage.node())
    secrets = sorted((tmp_path / "mesh" / "sds").glob("shop~*.json"))
    assert len(secrets) == 5
    for secret in secrets:
        pair = json.loads(secret.read_text())["resources"][0]["tls_certificate"]
        (tmp_path / "leaf.pem").write_text(pair["certificate_chain"]["inline_string"])
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(tmp_path / "ca" / "roots.pem")]
        process = await asyncio.create_subprocess_exec(
            *command, str(tmp_path / "leaf.pem"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
    for path in [*(tmp_path / "ca").iterdir(), *secrets]:
        assert path.stat().st_mode & 0o077 == 0, path
    for folder in (tmp_path / "ca", tmp_path / "mesh", tmp_path / "mesh" / "sds"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    assert (tmp_path / "mesh" / "admin.sock").stat().st_mode & 0o077 == 0


async def test_a_replica_that_dies_loses_no_get(mesh: Mesh, stage: Stage) -> None:
    """The engine's news comes late here: Envoy must find out by itself, and try the other replica."""
    async with Replica("a") as a, Replica("b") as b:
        await mesh.apply(stage.node())
        await publish(mesh, "orders", a, b)
        async with Load(stage.ports["gw-orders"]) as load:
            await until(lambda: load.names["b"] > 50)
            assert b._server
            b._server.close()
            b._server.close_clients() if hasattr(b._server, "close_clients") else None
            before = load.done
            await until(lambda: load.done > before + 500)
        assert load.failed == []


async def test_the_ingress_finds_the_app_and_the_longest_prefix(mesh: Mesh, stage: Stage) -> None:
    async with Replica("gw") as gw, Replica("orders") as orders:
        await mesh.apply(stage.node(callers=("gw", "ingress")))
        await publish(mesh, "gw", gw)
        await publish(mesh, "orders", orders)
        ingress = stage.ports["ingress"]
        for target, name in {"/": "gw", "/api": "gw", "/api/orders": "orders", "/api/orders/7?x": "orders", "/api/ordersx": "gw"}.items():
            answer = await get(ingress, target, host=f"shop.localhost:{ingress}")
            assert (answer.json["name"], answer.json["path"]) == (name, target)
            assert answer.json["headers"]["host"] == f"shop.localhost:{ingress}"
        named = await get(ingress, x_request_id="mine")
        assert (named.headers["x-request-id"], named.json["headers"]["x-request-id"]) == ("mine", "mine")
        assert "server" not in named.headers and not [name for name in named.headers if name.startswith("x-envoy")]
        assert len((await get(ingress)).headers["x-request-id"]) == 36
        assert "URI=spiffe://aic.local/ns/shop/sa/ingress" in named.json["headers"]["x-forwarded-client-cert"]
        assert (await get(ingress, x_envoy_upstream_rq_timeout_ms="1")).status == 200
        await mesh.apply(Node(ingress))
        nothing = await get(ingress, host="other.localhost")
        assert nothing.status == 404 and b"No application serves this address" in nothing.body


async def test_a_websocket_crosses_ingress_and_mesh(mesh: Mesh, stage: Stage) -> None:
    async with Replica("gw") as gw:
        await mesh.apply(stage.node())
        await publish(mesh, "gw", gw)
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.ports["ingress"])
        writer.write(b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b" 101 " in head.split(b"\r\n")[0]
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
        writer.close()


async def test_a_tcp_service_is_piped_for_those_who_need_it(mesh: Mesh, stage: Stage) -> None:
    async with Replica("db") as db:
        await mesh.apply(stage.node())
        await publish(mesh, "db", db)
        assert (await get(stage.ports["gw-db"])).json["name"] == "db"
        seen: list[Refusal] = []

        async def listen() -> None:
            async for refusal in mesh.refusals():
                seen.append(refusal)

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        node = stage.node()
        services = [s if s.name != "db" else Service("shop", "db", s.versions, protocol="tcp") for s in node.services]
        await mesh.apply(Node(node.ingress_port, tuple(services), node.callers, node.entries))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await get(stage.ports["gw-db"])
        await until(lambda: seen)
        listener.cancel()
        assert (seen[0].source, seen[0].target, seen[0].path) == ("gw", "db", "")


async def test_timeout_retries_and_breaker_are_kept(mesh: Mesh, stage: Stage) -> None:
    async with Replica("orders") as orders:
        await mesh.apply(stage.node(timeout=0.1, retries=Retries(attempts=2, on="5xx")))
        await publish(mesh, "orders", orders)
        slow = await get(stage.ports["gw-orders"], "/slow")
        assert slow.status == 504
        orders.seen = 0
        assert (await get(stage.ports["gw-orders"], "/fail")).status == 500
        assert orders.seen == 3
        await mesh.apply(stage.node(retries=Retries(), breaker=Breaker(errors=0.5, over=0.3)))
        client = Client(stage.ports["gw-orders"])
        for _ in range(100):
            answer = await client.get("/fail")
            if answer.status == 503:
                break
            await asyncio.sleep(0.02)
        assert answer.status == 503, "the circuit is open: the replica is spared"
        spared = orders.seen
        assert (await client.get()).status == 503 and orders.seen == spared
        [edge] = [e for e in await mesh.edges() if (e.source, e.target) == ("gw", "orders")]
        assert edge.ejected == 1
        for _ in range(100):
            if (await client.get()).status == 200:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the circuit never closed")


async def test_a_port_that_is_taken_is_named_and_the_former_node_stays(mesh: Mesh, stage: Stage) -> None:
    async with Replica("orders") as orders, Replica("thief") as thief:
        await mesh.apply(stage.node())
        await publish(mesh, "orders", orders)
        good = mesh._updates.on_disk()
        stage.ports["extra"], own = thief.port, stage.ports["gw-orders"]
        stage.ports["gw-orders"] = thief.port
        with pytest.raises(HostTrouble, match=f"port {thief.port} on 127.0.0.1 cannot be used"):
            await mesh.apply(stage.node(versions=stage.split(50, 50)))
        stage.ports["gw-orders"] = own
        assert (await get(own)).status == 200
        assert mesh._updates.on_disk() == good
        await mesh.apply(stage.node(versions=stage.split(50, 50)))


async def test_what_envoy_refuses_is_put_back_with_its_own_words(mesh: Mesh, stage: Stage) -> None:
    async with Replica("orders") as orders:
        await mesh.apply(stage.node())
        await publish(mesh, "orders", orders)
        good = mesh._updates.on_disk()
        with pytest.raises(Failed, match=r"(?s)refused its new configuration.*header_name|header"):
            await mesh.apply(stage.node(versions=stage.split(50, 50, Match(headers={"bad\nname": "x"}))))
        assert mesh._updates.on_disk() == good
        assert (await get(stage.ports["gw-orders"])).status == 200


async def test_envoy_that_is_killed_is_back_with_the_same_rules(tmp_path: Path, stage: Stage) -> None:
    told: list[str] = []
    mesh = Mesh(home=tmp_path, on_event=told.append)
    await mesh.start()
    try:
        async with Replica("orders") as orders:
            await mesh.apply(stage.node())
            await publish(mesh, "orders", orders)
            first, begun = mesh.pid, time.monotonic()
            assert first
            __import__("os").kill(first, 9)
            await until(lambda: mesh.pid not in (None, first) and told, seconds=2)
            assert (await get(stage.ports["gw-orders"])).status == 200
            assert time.monotonic() - begun < 2
            await publish(mesh, "orders")
            assert (await get(stage.ports["gw-orders"])).status == 503
    finally:
        await mesh.stop()
    assert told == ["Envoy ended and was started again"]


async def test_the_next_daemon_takes_over_the_running_envoy(tmp_path: Path, stage: Stage) -> None:
    first = Mesh(home=tmp_path)
    await first.start()
    async with Replica("orders") as orders:
        try:
            await first.apply(stage.node())
            await publish(first, "orders", orders)
            pid = first.pid
            await first.close()
            assert (await get(stage.ports["gw-orders"])).status == 200, "nobody is needed for it to serve"
        finally:
            second = Mesh(home=tmp_path)
            await second.start()
        try:
            assert second.pid == pid and second.holds(stage.ports["ingress"]) and not second.holds(1)
            async with Load(stage.ports["gw-orders"], clients=2) as load:
                await second.apply(stage.node())  # before the engine has published anything
                await second.apply(stage.node(timeout=3.0))
                await until(lambda: load.done > 50)
            assert load.failed == []
        finally:
            await second.stop()
        assert not second.holds(stage.ports["ingress"])


async def test_an_unrecorded_envoy_of_ours_gives_way(tmp_path: Path, stage: Stage) -> None:
    first = Mesh(home=tmp_path)
    await first.start()
    await first.apply(stage.node())
    pid = first.pid
    await first.close()
    (tmp_path / "mesh" / "proxy.json").unlink()
    second = Mesh(home=tmp_path)
    await second.start()
    try:
        assert second.pid != pid
        await until(lambda: not is_alive(pid))
        await second.apply(stage.node(timeout=4.0))
    finally:
        await second.stop()


def is_alive(pid: int | None) -> bool:
    from aiculturekit.mesh import processes

    return processes.started(pid or 0) is not None


async def test_a_home_with_a_long_name_works_too(tmp_path: Path, stage: Stage) -> None:
    home = tmp_path / ("long" * 20) / ("name" * 20)
    mesh = Mesh(home=home)
    await mesh.start()
    try:
        await mesh.apply(stage.node())
        text = await mesh.prometheus()
        assert "envoy_listener_manager_total_listeners_active" in text
    finally:
        await mesh.stop()


def test_the_timeout_of_an_update_is_longer_than_a_restart() -> None:
    assert updates.TIMEOUT > 5
