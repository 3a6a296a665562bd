"""Tokens, claims and the external check at the ingress, with the real Envoy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiculturekit.errors import Failed
from aiculturekit.mesh import svids
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Entry, Node, Service, Version
from aiculturekit.mesh.rules import Access, Check, Jwt, Match, Traffic
from tests.mesh import issuers, stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def issuer() -> Any:
    return issuers.Issuer()


def guarded(stage: Any, access: Access, **more: Any) -> Node:
    """The stage with rules for who comes to `gw` from outside."""
    node = stage.node()
    services = tuple(
        Service(
            "shop",
            "gw",
            more.get("versions", s.versions),
            callers=("ingress",),
            traffic=more.get("traffic", Traffic()),
            access=access,
        )
        if s.name == "gw"
        else s
        for s in node.services
    )
    return Node(node.ingress_port, services, node.callers, (Entry("shop", "/", "gw"),))


def kind(issuer: Any, **fields: Any) -> Jwt:
    return Jwt(**{"issuer": issuer.name, "jwks": issuer.jwks, **fields})


async def ask(stage: Any, token: str = "", target: str = "/", **headers: str) -> Any:
    given = {"authorization": f"Bearer {token}"} if token else {}
    return await stages.get(stage.ports["ingress"], target, **given, **headers)


async def test_a_good_token_passes_and_every_other_is_refused_and_reported(mesh: Mesh, stage: Any, issuer: Any) -> None:
    other = issuers.Issuer(issuer.name)
    good = issuer.token(aud="shop")
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, audience=("shop", "admin")),))))
        await stages.publish(mesh, "gw", gw)
        for token in (good, issuer.token(alg="RS256", aud=["x", "admin"]), issuer.token(aud="shop", lasts=-3)):
            assert (await ask(stage, token)).status == 200
        seen = await ask(stage, good, x_jwt_payload="forged")
        payload = seen.json["headers"]["x-jwt-payload"]
        assert json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"] == "ann"
        assert seen.json["headers"]["authorization"] == f"Bearer {good}", "as it came"
        count = gw.seen
        bad = {
            "missing": ("", 401),
            "no token": ("nonsense", 401),
            "expired": (issuer.token(aud="shop", lasts=-60), 401),
            "not yet": (issuer.token(aud="shop", nbf=9_999_999_999), 401),
            "none": (issuer.token(alg="none", aud="shop"), 401),
            "confused": (issuer.token(alg="HS256", aud="shop"), 401),
            "wrong key": (other.token(aud="shop"), 401),
            "wrong issuer": (issuer.token(aud="shop", iss="https://evil.example"), 401),
            "no issuer": (issuer.token(aud="shop", iss=None), 401),
            "tampered": (issuers.tampered(good, sub="root"), 401),
            "cut": (good[:-8], 401),
            "wrong audience": (issuer.token(aud="bank"), 403),
            "no audience": (issuer.token(), 403),
        }
        async with stages.refused(mesh) as refusals:
            for name, (token, status) in bad.items():
                answer = await ask(stage, token, f"/pay/{name.replace(' ', '-')}?secret=1")
                assert answer.status == status, name
                assert b"shop/gw asks for a valid token: " in answer.body, name
                assert answer.headers["www-authenticate"].startswith("Bearer realm="), name
            await stages.until(lambda: len(refusals) == len(bad))
        for name, one in zip(bad, refusals, strict=True):
            assert (one.app, one.source, one.target, one.kind) == ("shop", "ingress", "gw", "token"), name
            assert one.path == f"/pay/{name.replace(' ', '-')}" and one.detail, name
        assert gw.seen == count


async def test_within_the_mesh_no_token_is_asked_for(mesh: Mesh, stage: Any, issuer: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node(access=Access(jwt=(kind(issuer),)), callers=("gw", "ingress")))
        await stages.publish(mesh, "orders", orders)
        assert (await stages.get(stage.ports["gw-orders"])).status == 200
        assert (await ask(stage, target="/api/orders")).status == 401


async def test_what_is_open_needs_no_token_but_a_bad_one_is_still_refused(mesh: Mesh, stage: Any, issuer: Any) -> None:
    async with stages.Replica("gw") as gw:
        await mesh.apply(
            guarded(stage, Access(jwt=(kind(issuer, open=("/public", "/health"), claims={"role": "admin"}),)))
        )
        await stages.publish(mesh, "gw", gw)
        for target, status in {
            "/public": 200, "/public/a": 200, "/public?next=%2Fhome": 200, "/health": 200, "/publicity": 401, "/": 401,
            "/public/../secret": 401, "/public/%2e%2e/secret": 401, "/public/..%2fsecret": 401, "/public/..%5csecret": 401,
            "/public/..;/secret": 401, "/public/..%3b/secret": 401,
            "/PUBLIC": 401, "//public/../x": 401,
        }.items():  # fmt: skip
            assert (await ask(stage, target=target, x_jwt_payload="e30")).status == status, target
        assert "x-jwt-payload" not in (await ask(stage, target="/public", x_jwt_payload="e30")).json["headers"]
        assert (await ask(stage, issuer.token(lasts=-60), "/public")).status == 401
        user = await ask(stage, issuer.token(role="user"), "/public")
        assert user.status == 200 and "x-jwt-payload" in user.json["headers"]
        assert (await ask(stage, issuer.token(role="user"))).status == 403


async def test_an_optional_token_may_be_missing_and_may_not_be_wrong(mesh: Mesh, stage: Any, issuer: Any) -> None:
    other = issuers.Issuer("https://other.example")
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, optional=True, claims={"role": "a"}), kind(other)))))
        await stages.publish(mesh, "gw", gw)
        wrong = issuers.Issuer(issuer.name)
        for token, status in [
            ("", 200), (issuer.token(role="a"), 200), (issuer.token(role="b"), 403), (other.token(), 200), (wrong.token(role="a"), 401),
            (issuer.token(role="a", lasts=-60), 401), (issuer.token(role="a", iss="https://evil.example"), 401), ("nonsense", 401),
        ]:  # fmt: skip
            assert (await ask(stage, token)).status == status, token


async def test_claims_are_asked_for_by_kind_of_token(mesh: Mesh, stage: Any, issuer: Any) -> None:
    staff = kind(issuer, audience=("staff",), claims={"role": "admin", "realm.level": "3", "verified": "true"})
    customers = kind(issuer, audience=("web",), claims={"scope": "buy", "https://shop.example/tier": "gold"})
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(staff, customers))))
        await stages.publish(mesh, "gw", gw)
        admin: dict[str, Any] = {"aud": "staff", "role": "admin", "realm": {"level": 3}, "verified": True}
        buyer: dict[str, Any] = {"aud": ["x", "web"], "scope": "read buy", "https://shop.example/tier": ["gold"]}
        for claims, status in [
            (admin, 200), (admin | {"role": ["user", "admin"]}, 200), (admin | {"realm": {"level": "3"}}, 200), (buyer, 200),
            (admin | {"role": "administrator"}, 403), (admin | {"realm": {"level": 4}}, 403), (admin | {"verified": False}, 403),
            (admin | {"aud": "web"}, 403), (buyer | {"aud": "staff"}, 403), (buyer | {"scope": "buyer"}, 403), ({"aud": "web"}, 403),
        ]:  # fmt: skip
            assert (await ask(stage, issuer.token(**claims))).status == status, claims
        async with stages.refused(mesh) as refusals:
            no = await ask(stage, issuer.token(aud="web"))
            assert b"with other claims than this one has" in no.body
        assert {(r.source, r.target, r.kind) for r in refusals} == {("ingress", "gw", "claims")}


async def test_a_claim_chooses_the_version(mesh: Mesh, stage: Any, issuer: Any) -> None:
    beta = Version("v2", stage.ports["extra"], 0.0, Match(claim={"groups": "beta"}))
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        access = Access(jwt=(kind(issuer, optional=True),))
        await mesh.apply(guarded(stage, access, versions=(Version("v1", stage.ports["gw"]), beta)))
        await stages.publish(mesh, "gw", one)
        await stages.publish(mesh, "gw", two, version="v2")
        for token, name in [
            ("", "one"),
            (issuer.token(), "one"),
            (issuer.token(groups=["a", "beta"]), "two"),
            (issuer.token(groups="beta"), "two"),
        ]:
            assert (await ask(stage, token)).json["name"] == name
        forged = issuers.tampered(issuer.token(), groups="beta")
        assert (await ask(stage, forged)).status == 401
        assert (await ask(stage, x_aic_claim_groups="beta", x_jwt_payload="eyJncm91cHMiOiJiZXRhIn0")).json[
            "name"
        ] == "one"


async def test_rules_for_tokens_change_under_load_without_a_failed_request(mesh: Mesh, stage: Any, issuer: Any) -> None:
    """Each client keeps its connection, so a listener that is drained would show."""
    other = issuers.Issuer("https://other.example")
    token = issuer.token(role="a")
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer),))))
        await stages.publish(mesh, "gw", gw)
        client, failed, done = stages.Client(stage.ports["ingress"]), [], 0
        streams: set[int] = set()

        async def load() -> None:
            nonlocal done
            while True:
                answer = await client.get(authorization=f"Bearer {token}")
                streams.add(id(client._streams))
                done += 1
                if answer.status != 200:
                    failed.append(answer.status)

        task = asyncio.create_task(load())
        for turn in range(8):
            kinds = [
                (kind(issuer),),
                (kind(issuer), kind(other)),
                (kind(issuer, claims={"role": "a"}),),
                (kind(issuer, optional=True),),
            ]
            await mesh.apply(guarded(stage, Access(jwt=kinds[turn % 4])))
            await asyncio.sleep(0.05)
        before = done
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert done > before and not failed and len(streams) == 1
        client.close()
        await mesh.apply(guarded(stage, Access(jwt=(kind(other),))))
        assert (await ask(stage, token)).status == 401
        await mesh.apply(guarded(stage, Access()))
        assert (await ask(stage)).status == 200


class Keys:
    """A key set's address: answers what it is told to, and counts."""

    def __init__(self, answer: str) -> None:
        self.answer, self.asked, self.status = answer, 0, 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                body = self.answer.encode()
                writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()


async def test_keys_are_fetched_from_an_address_and_outlive_it(mesh: Mesh, stage: Any, issuer: Any) -> None:
    keys = Keys(issuer.jwks)
    server = await asyncio.start_server(keys.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, jwks=f"http://127.0.0.1:{port}/keys"),))))
        await stages.publish(mesh, "gw", gw)
        await _until_status(stage, issuer.token(), 200)
        server.close()
        assert (await ask(stage, issuer.token())).status == 200
        assert (await ask(stage, issuers.Issuer(issuer.name).token())).status == 401
        assert keys.asked <= 3, "kept, not fetched for every request"


async def test_without_keys_nobody_passes_and_the_reason_is_said(mesh: Mesh, stage: Any, issuer: Any) -> None:
    nobody = next(stages.free_ports(1))
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, jwks=f"http://127.0.0.1:{nobody}/keys"),))))
        await stages.publish(mesh, "gw", gw)
        async with stages.refused(mesh) as refusals:
            answer = await ask(stage, issuer.token())
            assert answer.status == 503 and b"The keys for tokens of shop/gw could not be fetched" in answer.body
        assert refusals[0].kind == "token" and "fetch" in refusals[0].detail
        keys = Keys(issuer.jwks)
        async with await asyncio.start_server(keys.serve, "127.0.0.1", nobody):
            await _until_status(stage, issuer.token(), 200)


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_keys_over_https_are_believed_to_whom_this_machine_trusts(
    stage: Any, issuer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    own, other = (_certificate(tmp_path / name) for name in ("own", "other"))
    monkeypatch.setenv("SSL_CERT_FILE", str((own if is_trusted else other) / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    server = await asyncio.start_server(Keys(issuer.jwks).serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/keys"
    async with server, stages.running(tmp_path / "home") as mesh, stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, jwks=url),))))
        await stages.publish(mesh, "gw", gw)
        if is_trusted:
            await _until_status(stage, issuer.token(), 200)
        else:
            await asyncio.sleep(1.0)
            assert (await ask(stage, issuer.token())).status == 503


def _certificate(folder: Path) -> Path:
    """A certificate for localhost that vouches for itself."""
    folder.mkdir()
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)]),
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_text(svids.pem(made))
    (folder / "key.pem").write_text(svids.key_pem(key))
    return folder


async def test_a_name_that_cannot_be_resolved_holds_up_nothing(mesh: Mesh, stage: Any, issuer: Any) -> None:
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, jwks="https://nobody.invalid/keys"), kind(issuer)))))
        await stages.publish(mesh, "gw", gw)
        assert (await ask(stage, issuer.token())).status == 200, "the other kind's keys are there"
        assert (await ask(stage)).status == 401


async def test_a_key_set_that_envoy_cannot_read_changes_nothing(mesh: Mesh, stage: Any, issuer: Any) -> None:
    async with stages.Replica("gw") as gw:
        await mesh.apply(guarded(stage, Access(jwt=(kind(issuer),))))
        await stages.publish(mesh, "gw", gw)
        with pytest.raises(Failed, match="jwks"):
            await mesh.apply(guarded(stage, Access(jwt=(kind(issuer, jwks='{"keys": [{"kty": "EC"}]}'),))))
        assert (await ask(stage, issuer.token())).status == 200
        assert (await ask(stage)).status == 401


async def _until_status(stage: Any, token: str, status: int) -> None:
    for _ in range(200):
        if (await ask(stage, token)).status == status:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never {status}")


class Checker:
    """An external authorizer: its answer for a path, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.waits = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                method, path, _ = head[0].split()
                self.asked.append(
                    (method, path, {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:])})
                )
                await asyncio.sleep(self.waits)
                writer.write(self._answer(path))
                await writer.drain()

    def _answer(self, path: str) -> bytes:
        if path.startswith("/check/no"):
            return b"HTTP/1.1 418 No\r\nx-why: tea\r\ncontent-type: text/x-tea\r\ncontent-length: 3\r\n\r\ntea"
        if path.startswith("/check/login"):
            return b"HTTP/1.1 302 Found\r\nlocation: https://login.example/\r\ncontent-length: 0\r\n\r\n"
        if path.startswith("/check/anonymous"):
            return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nx-user: ann\r\nx-other: no\r\ncontent-length: 0\r\n\r\n"


async def test_an_external_check_decides_and_its_answer_is_the_clients(mesh: Mesh, stage: Any) -> None:
    checker = Checker()
    server = await asyncio.start_server(checker.serve, "127.0.0.1", 0)
    check = Check(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/check", timeout=5.0, headers=("X-User",))
    async with stages.Replica("gw") as gw, server:
        await mesh.apply(guarded(stage, Access(check=check)))
        await stages.publish(mesh, "gw", gw)
        yes = await stages.get(
            stage.ports["ingress"], "/a?b=c", method="POST", cookie="s=1", x_user="root", host="shop.localhost"
        )
        assert (yes.status, yes.json["headers"]["x-user"]) == (200, "ann")
        assert "x-other" not in yes.json["headers"]
        method, path, headers = checker.asked[-1]
        assert (method, path, headers["cookie"], headers["host"]) == ("POST", "/check/a?b=c", "s=1", "shop.localhost")
        assert "x-user" not in headers
        assert "x-user" not in (await ask(stage, target="/anonymous", x_user="root")).json["headers"], (
            "only the check may say so"
        )
        seen = gw.seen
        async with stages.refused(mesh) as refusals:
            no = await ask(stage, target="/no")
            assert (no.status, no.headers["x-why"], no.headers["content-type"], no.body) == (
                418,
                "tea",
                "text/x-tea",
                b"tea",
            )
            login = await ask(stage, target="/login")
            assert (login.status, login.headers["location"]) == (302, "https://login.example/")
            await stages.until(lambda: len(refusals) == 2)
        assert {(r.source, r.target, r.kind, r.detail) for r in refusals} == {
            ("ingress", "gw", "check", "ext_authz_denied")
        }
        assert gw.seen == seen


@pytest.mark.parametrize(("fails", "status"), [("closed", 503), ("open", 200)])
async def test_a_check_that_does_not_answer_fails_as_it_is_told(
    mesh: Mesh, stage: Any, fails: Any, status: int
) -> None:
    checker = Checker()
    checker.waits = 30.0
    server = await asyncio.start_server(checker.serve, "127.0.0.1", 0)
    port, nobody = server.sockets[0].getsockname()[1], next(stages.free_ports(1))
    async with stages.Replica("gw") as gw, server:
        for url in (f"http://127.0.0.1:{port}/check", f"http://127.0.0.1:{nobody}/check"):
            await mesh.apply(
                guarded(stage, Access(check=Check(url=url, timeout=0.2, fails=fails, headers=("x-user",))))
            )
            await stages.publish(mesh, "gw", gw)
            answer = await ask(stage, x_user="root")
            assert answer.status == status
            if status == 200:
                assert "x-user" not in answer.json["headers"]
            else:
                assert b"The check of shop/gw did not answer" in answer.body


async def test_a_service_of_the_application_is_asked_through_the_mesh(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("gw") as gw, stages.Replica("orders") as orders:
        node = guarded(stage, Access(check=Check(url="http://orders/check", timeout=5.0, service="orders")))
        services = tuple(
            Service("shop", "orders", s.versions, callers=("gw", "ingress")) if s.name == "orders" else s
            for s in node.services
        )
        await mesh.apply(Node(node.ingress_port, services, node.callers, node.entries))
        await stages.publish(mesh, "gw", gw)
        await stages.publish(mesh, "orders", orders)
        assert ((await ask(stage, target="/x")).status, orders.seen) == (200, 1)
