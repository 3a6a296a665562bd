"""Who gets in, with the real Envoy: identities, operations, audit. What is not let through is also reported."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh import svids
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rotations import Lives
from aiculturekit.mesh.rules import Access
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]
TRUST = "aic.local"


async def test_a_caller_may_do_what_its_need_names_and_nothing_else(mesh: Mesh, stage: Any) -> None:
    allowed = {"gw": (("GET", "/orders*"), ("POST", "/orders"), ("HEAD", ""), ("", "/any"))}
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(operations=allowed))
        await stages.publish(mesh, "orders", orders)
        port = stage.ports["gw-orders"]
        for method, target in [
            ("GET", "/orders"), ("GET", "/orders/7"), ("GET", "/orders?x=/else"), ("GET", "/ordersx"), ("POST", "/orders"),
            ("POST", "/orders?a=b"), ("PUT", "/any"), ("GET", "/x/../orders/1"),
        ]:  # fmt: skip
            assert (await stages.get(port, target, method=method)).status == 200, (method, target)
        seen = orders.seen
        async with stages.refused(mesh) as refusals:
            for method, target in [
                ("POST", "/orders/7"), ("DELETE", "/orders"), ("GET", "/else"), ("GET", "/else?x=/orders"), ("GET", "/any/more"),
                ("GET", "/orders/../else"), ("GET", "/orders/%2e%2e/else"), ("GET", "/orders%2f..%2felse"),
                ("GET", "/orders%5c..%5celse"), ("GET", "/Orders"), ("GET", "/orders/..;/else"),
            ]:  # fmt: skip
                assert (await stages.get(port, target, method=method)).status == 403, (method, target)
            no = await stages.get(port, "/orders/7?secret=1", method="POST")
            assert b"spiffe://aic.local/ns/shop/sa/gw may not call shop/orders with POST /orders/7:" in no.body
            assert b"`orders: POST /orders/7`" in no.body
            await stages.until(lambda: len(refusals) >= 12)
        assert orders.seen == seen
        assert {(r.source, r.target, r.kind, r.allowed) for r in refusals} == {("gw", "orders", "call", False)}
        assert Counter((r.method, r.path) for r in refusals)["DELETE", "/orders"] == 1, "each is told once"


async def test_a_detour_past_the_callers_own_door_finds_the_same_paths(mesh: Mesh, stage: Any, tmp_path: Path) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(operations={"gw": (("GET", "/orders*"),)}))
        await stages.publish(mesh, "orders", orders)
        pair = _pair(tmp_path / "mesh" / "sds" / "shop~gw.json")
        expected = {"/orders/1": 200, "/orders/../else": 403, "/orders/%2e%2e/else": 403, "/x/../orders": 200}
        for path, status in expected.items():
            assert await call(stage.ports["orders1"], pair, tmp_path, path=path) == status, path


async def test_under_audit_what_no_need_names_passes_and_is_reported(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        audited: dict[str, Any] = {"callers": (), "access": Access(audit=True)}
        await mesh.apply(stage.node(versions=stage.split(75, 25), **audited))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        async with stages.refused(mesh) as refusals:
            answer = await stages.get(stage.ports["gw-orders"], "/x", method="POST")
            assert answer.status == 200
        [refusal] = refusals
        assert (refusal.source, refusal.target, refusal.method, refusal.path) == ("gw", "orders", "POST", "/x")
        assert refusal.allowed
        await mesh.apply(
            stage.node(versions=stage.split(75, 25), operations={"gw": (("GET", "/a"),)}, access=Access(audit=True))
        )
        async with stages.refused(mesh) as refusals:
            assert (await stages.get(stage.ports["gw-orders"], "/a")).status == 200
            assert (await stages.get(stage.ports["gw-orders"], "/b")).status == 200
        assert [(r.path, r.allowed) for r in refusals] == [("/b", True)]
        await mesh.apply(stage.node(versions=stage.split(75, 25)))
        assert (await stages.get(stage.ports["gw-orders"])).status == 200
        assert (await stages.get(stage.ports["orders-proxy"], "http://gw/")).status == 403, "gw is not under audit"


async def test_under_audit_a_call_without_a_need_is_shared_among_the_versions(mesh: Mesh, stage: Any) -> None:
    """`db` has no need for orders and so no door but its proxy."""
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        node = stage.node(versions=stage.split(75, 25), access=Access(audit=True))
        stranger = node.callers[1]
        assert not stranger.needs
        services = tuple(s if s.name != "gw" else _audited(s, two_versions=stage) for s in node.services)
        await mesh.apply(Node(node.ingress_port, services, node.callers, node.entries))
        await stages.publish(mesh, "gw", one)
        await stages.publish(mesh, "gw", two, version="v2")
        client = stages.Client(stage.ports["orders-proxy"])
        async with stages.refused(mesh) as refusals:
            shares = Counter([(await client.get("http://gw/")).json["name"] for _ in range(400)])
            client.close()
            await stages.until(lambda: len(refusals) >= 100)
        assert abs(shares["two"] - 100) < 50, shares
        assert {(r.source, r.target, r.allowed) for r in refusals} == {("orders", "gw", True)}


def _audited(service: Service, *, two_versions: Any) -> Service:
    v1, v2 = two_versions.split(75, 25)
    versions = (
        service.versions[0].__class__("v1", service.versions[0].port, v1.weight),
        v2.__class__("v2", two_versions.ports["extra"], v2.weight),
    )
    return Service("shop", "gw", versions, callers=("ingress",), access=Access(audit=True))


async def test_a_tcp_service_under_audit_lets_in_and_reports(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("db") as db:
        node = stage.node()
        services = tuple(
            s if s.name != "db" else Service("shop", "db", s.versions, access=Access(audit=True), protocol="tcp")
            for s in node.services
        )
        await mesh.apply(Node(node.ingress_port, services, node.callers, node.entries))
        await stages.publish(mesh, "db", db)
        async with stages.refused(mesh) as refusals:
            assert (await stages.get(stage.ports["gw-db"])).json["name"] == "db"
        assert {(r.source, r.target, r.allowed) for r in refusals} == {("gw", "db", True)}, (
            "another may have dialled the port"
        )


async def test_a_bad_certificate_is_refused_and_reported(mesh: Mesh, stage: Any, tmp_path: Path) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        good = _pair(tmp_path / "mesh" / "sds" / "shop~gw.json")
        assert await call(stage.ports["orders1"], good, tmp_path) == 200
        foreign = tmp_path / "foreign"
        await Mesh(home=foreign)._certificates.ensure([("shop", "gw")], trust_domain=TRUST, now=time.time())
        past = time.time() - 3 * 86400
        bad = {
            "none": None,
            "foreign": _pair(foreign / "mesh" / "sds" / "shop~gw.json"),
            "expired": _issued(tmp_path / "ca", "gw", at=past),
            "other domain": _issued(tmp_path / "ca", "gw", at=time.time(), trust_domain="other.example"),
        }
        for name, pair in bad.items():
            async with stages.refused(mesh) as refusals:
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    await call(stage.ports["orders1"], pair, tmp_path)
            assert {(r.app, r.target, r.kind) for r in refusals} == {("shop", "orders", "certificate")}, name
            assert refusals[0].detail, name
        async with stages.refused(mesh) as refusals:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await stages.get(stage.ports["orders1"])
        assert refusals[0].kind == "certificate", "no TLS at all"
        other = _issued(tmp_path / "ca", "other", at=time.time())
        async with stages.refused(mesh) as refusals:
            assert await call(stage.ports["orders1"], other, tmp_path) == 403
        assert [(r.source, r.kind) for r in refusals] == [("other", "call")]
        assert orders.seen == 1


async def test_a_connection_that_only_knocks_is_no_refusal(mesh: Mesh, stage: Any, tmp_path: Path) -> None:
    await mesh.apply(stage.node())
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.ports["orders1"])
        writer.close()
    log = tmp_path / "mesh" / "refusals.log"
    await asyncio.sleep(0.5)
    assert not log.exists() or not log.read_text()


def _pair(secret: Path) -> str:
    pair = json.loads(secret.read_text())["resources"][0]["tls_certificate"]
    return str(pair["certificate_chain"]["inline_string"] + pair["private_key"]["inline_string"])


def _issued(ca: Path, name: str, *, at: float, trust_domain: str = TRUST) -> str:
    """A certificate of the mesh's own authority, made at `at`."""
    [path, *_] = sorted(ca.glob("root-*.pem"))
    root = svids.read(path.read_bytes())
    certificate, key = svids.issue(root, ("shop", name), trust_domain=trust_domain, lives=Lives(), now=at)
    return svids.pem(certificate) + svids.key_pem(key)


async def call(port: int, pair: str | None, folder: Path, *, path: str = "/") -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "ca" / "roots.pem")
    if pair:
        pem = folder / "pair.pem"
        pem.write_text(pair)
        context.load_cert_chain(pem)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    with contextlib.closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        return int(head.split()[1])
