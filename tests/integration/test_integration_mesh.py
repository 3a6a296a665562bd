"""The mesh with the real Envoy: who may call whom, which version answers, what a rule does."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rules import Breaker, Match, Pattern, Retries, Traffic
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


async def test_a_need_is_met_under_the_callers_own_identity(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        assert (await stages.get(stage.ports["gw-orders"])).status == 503, "no replica: at once, not a hang"
        await stages.publish(mesh, "orders", orders)
        answer = await stages.get(
            stage.ports["gw-orders"], "/x?y=1", x_forwarded_client_cert="URI=spiffe://aic.local/ns/shop/sa/boss"
        )
        seen = answer.json["headers"]["x-forwarded-client-cert"]
        assert answer.json["path"] == "/x?y=1"
        assert "URI=spiffe://aic.local/ns/shop/sa/gw" in seen and "boss" not in seen
        proxied = await stages.get(stage.ports["gw-proxy"], "http://orders/y")
        assert (proxied.status, proxied.json["path"]) == (200, "/y")


async def test_what_is_not_needed_is_refused_and_reported(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("pay") as pay, stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "pay", pay)
        await stages.publish(mesh, "orders", orders)
        async with stages.refused(mesh) as seen:
            no = await stages.get(stage.ports["orders-proxy"], "http://pay/charge?card=4711", method="POST")
            assert (no.status, pay.seen) == (403, 0)
            assert b"spiffe://aic.local/ns/shop/sa/orders may not call shop/pay" in no.body
            own = await stages.get(stage.ports["gw-orders"], "/forbidden")
            assert (own.status, own.json["name"]) == (403, "orders"), (
                "a service's own 403 is no refusal, and is passed on"
            )
            unknown = await stages.get(stage.ports["orders-proxy"], "http://nobody/")
            assert unknown.status == 404 and b"gw, orders, pay" in unknown.body
        [refusal] = seen
        assert (refusal.app, refusal.source, refusal.target) == ("shop", "orders", "pay")
        assert (refusal.method, refusal.path) == ("POST", "/charge"), "without the query, which may hold a secret"
        assert abs(refusal.at - time.time()) < 10


async def test_a_permission_is_taken_back_on_kept_connections(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        client = stages.Client(stage.ports["gw-orders"])
        assert (await client.get()).status == 200
        await mesh.apply(stage.node(callers=()))
        assert (await client.get()).status == 403
        await mesh.apply(stage.node())
        assert (await client.get()).status == 200
        client.close()


async def test_without_a_good_certificate_nobody_gets_in(mesh: Mesh, stage: Any, tmp_path: Path) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        foreign = tmp_path / "foreign"
        await Mesh(home=foreign)._certificates.ensure([("shop", "gw")], trust_domain="aic.local", now=time.time())
        assert await handshake(stage.ports["orders1"], tmp_path / "mesh" / "sds" / "shop~gw.json", tmp_path) == 200
        for secret in (None, foreign / "mesh" / "sds" / "shop~gw.json"):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await handshake(stage.ports["orders1"], secret, tmp_path)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await stages.get(stage.ports["orders1"])
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


async def test_versions_share_by_weight_and_a_match_claims_its_own(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        beta = Match(header={"x-beta": Pattern(exact="true")})
        await mesh.apply(stage.node(versions=stage.split(90, 10, beta)))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        client = stages.Client(stage.ports["gw-orders"])
        shares = Counter([(await client.get()).json["name"] for _ in range(2000)])
        assert abs(shares["two"] - 200) < 65, shares  # five standard deviations of a binomial
        claimed = Counter([(await client.get(x_beta="true")).json["name"] for _ in range(50)])
        assert claimed == {"two": 50}
        client.close()
        await mesh.edges()
        [first] = [
            edge
            for edge in await mesh.edges()
            if (edge.source, edge.version) == ("gw", "v1") and edge.target == "orders"
        ]
        assert first.requests == shares["one"] and first.errors == 0


async def test_the_ingress_finds_the_app_and_the_longest_prefix(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("gw") as gw, stages.Replica("orders") as orders:
        await mesh.apply(stage.node(callers=("gw", "ingress")))
        await stages.publish(mesh, "gw", gw)
        await stages.publish(mesh, "orders", orders)
        ingress = stage.ports["ingress"]
        for target, name in {
            "/": "gw",
            "/api": "gw",
            "/api/orders": "orders",
            "/api/orders/7?x": "orders",
            "/api/ordersx": "gw",
        }.items():
            answer = await stages.get(ingress, target, host=f"shop.localhost:{ingress}")
            assert (answer.json["name"], answer.json["path"]) == (name, target)
            assert answer.json["headers"]["host"] == f"shop.localhost:{ingress}"
        named = await stages.get(ingress, x_request_id="mine")
        assert (named.headers["x-request-id"], named.json["headers"]["x-request-id"]) == ("mine", "mine")
        assert "server" not in named.headers and not [name for name in named.headers if name.startswith("x-envoy")]
        assert len((await stages.get(ingress)).headers["x-request-id"]) == 36
        assert "URI=spiffe://aic.local/ns/shop/sa/ingress" in named.json["headers"]["x-forwarded-client-cert"]
        slow = await stages.get(ingress, "/slow", x_envoy_upstream_rq_timeout_ms="50")
        assert slow.status == 200, "nobody outside sets our timeouts"
        await mesh.apply(Node(ingress))
        nothing = await stages.get(ingress, host="other.localhost")
        assert nothing.status == 404 and b"No application serves this address" in nothing.body
        assert nothing.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_websocket_crosses_ingress_and_mesh(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("gw") as gw:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "gw", gw)
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.ports["ingress"])
        writer.write(b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert b" 101 " in head.split(b"\r\n")[0]
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
        writer.close()


async def test_a_tcp_service_is_piped_for_those_who_need_it(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("db") as db:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "db", db)
        assert (await stages.get(stage.ports["gw-db"])).json["name"] == "db"
        async with stages.refused(mesh) as seen:
            node = stage.node()
            services = [
                s if s.name != "db" else Service("shop", "db", s.versions, protocol="tcp") for s in node.services
            ]
            await mesh.apply(Node(node.ingress_port, tuple(services), node.callers, node.entries))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await stages.get(stage.ports["gw-db"])
        assert (seen[0].source, seen[0].target, seen[0].path) == ("gw", "db", "")


async def test_timeout_retries_and_breaker_are_kept(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(traffic=Traffic(timeout=0.1, retries=Retries(attempts=2, on="5xx"))))
        await stages.publish(mesh, "orders", orders)
        slow = await stages.get(stage.ports["gw-orders"], "/slow")
        assert slow.status == 504
        orders.seen = 0
        assert (await stages.get(stage.ports["gw-orders"], "/fail")).status == 500
        assert orders.seen == 3
        await mesh.apply(stage.node(traffic=Traffic(retries=Retries(), breaker=Breaker(errors=50, over=0.3))))
        client = stages.Client(stage.ports["gw-orders"])
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


async def test_an_http2_service_is_spoken_to_in_http2(mesh: Mesh, stage: Any) -> None:
    prefaces: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        prefaces.append(await reader.read(14))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        await mesh.apply(stage.node(protocol="http2"))
        await mesh.publish("shop", "orders", version="v1", ports=[server.sockets[0].getsockname()[1]])
        assert (await stages.get(stage.ports["gw-orders"], method="POST")).status == 503
    assert prefaces[0] == b"PRI * HTTP/2.0"
