"""Requests from outside: tokens, claims, operations, audit. Where a mesh says 401 or 403, either is a refusal."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

from tests.conformance.cases import case
from tests.conformance.stages import Stage
from tests.mesh.issuers import Issuer, tampered

ISSUER, OTHER, FALSE = Issuer(), Issuer("https://other.example"), Issuer()
KEYS = {"keys.json": ISSUER.jwks, "other.json": OTHER.jwks}


def jwt(issuer: Issuer = ISSUER, **fields: Any) -> dict[str, Any]:
    """An entry of `access.jwt`; the key set stands in a file beside the application's."""
    return {"issuer": issuer.name, "jwks": f"{'other' if issuer is OTHER else 'keys'}.json", **fields}


def access(*kinds: dict[str, Any], **more: Any) -> str:
    return json.dumps({"access": {"jwt": list(kinds)}, **more})


async def ask(stage: Stage, token: str = "", path: str = "/x", **options: Any) -> Any:
    given = {"authorization": f"Bearer {token}"} if token else {}
    return await stage.ask(path, source="ingress", **given, **options)


async def refused(stage: Stage, token: str = "", path: str = "/x", **options: Any) -> bool:
    before = len(stage.seen)
    return (await ask(stage, token, path, **options)).status in (401, 403) and len(stage.seen) == before


@case("access.jwt", api=access(jwt()), files=KEYS)
async def a_good_token_passes_and_its_payload_goes_on(stage: Stage) -> None:
    for alg in ("ES256", "RS256"):
        token = ISSUER.token(alg=alg)
        answer = await ask(stage, token, x_jwt_payload="forged")
        assert answer.status == 200
        payload = answer.seen["x-jwt-payload"]
        assert json.loads(urlsafe_b64decode(payload + "=="))["sub"] == "ann"
        assert answer.seen["authorization"] == f"Bearer {token}"


@case("access.jwt", api=access(jwt()), files=KEYS)
async def no_token_is_refused_but_not_within_the_mesh(stage: Stage) -> None:
    assert await refused(stage)
    assert (await stage.ask("/x")).status == 200


@case("access.jwt", api=access(jwt()), files=KEYS)
async def an_expired_or_early_token_is_refused(stage: Stage) -> None:
    for token in (ISSUER.token(lasts=-120), ISSUER.token(nbf=9_999_999_999)):
        assert await refused(stage, token)


@case("access.jwt", api=access(jwt()), files=KEYS)
async def a_token_of_another_issuer_is_refused(stage: Stage) -> None:
    for token in (ISSUER.token(iss="https://evil.example"), OTHER.token(), ISSUER.token(iss=None)):
        assert await refused(stage, token)


@case("access.jwt", api=access(jwt()), files=KEYS)
async def a_forged_token_is_refused(stage: Stage) -> None:
    good = ISSUER.token()
    for token in (
        FALSE.token(), ISSUER.token(alg="none"), ISSUER.token(alg="HS256"), tampered(good, sub="root"), good[:-8], "nonsense"
    ):  # fmt: skip
        assert await refused(stage, token)


@case("access.jwt", api=access(jwt(audience=["shop", "admin"])), files=KEYS)
async def a_token_for_somebody_else_is_refused(stage: Stage) -> None:
    assert (await ask(stage, ISSUER.token(aud="shop"))).status == 200
    assert (await ask(stage, ISSUER.token(aud=["x", "admin"]))).status == 200
    for token in (ISSUER.token(aud="bank"), ISSUER.token()):
        assert await refused(stage, token)


@case("access.jwt", api=access(jwt(claims={"role": "admin", "scope": "write", "realm.team": "shop"})), files=KEYS)
async def claims_must_hold(stage: Stage) -> None:
    good: dict[str, Any] = {"role": "admin", "scope": "read write", "realm": {"team": "shop"}}
    for claims in (good, good | {"role": ["user", "admin"]}):
        assert (await ask(stage, ISSUER.token(**claims))).status == 200, claims
    for claims in (
        good | {"role": "user"},
        good | {"scope": "writer"},
        good | {"realm": {"team": "x"}},
        {"role": "admin"},
    ):
        assert await refused(stage, ISSUER.token(**claims)), claims


@case("access.jwt", api=access(jwt(open=["/public"])), files=KEYS)
async def open_paths_need_no_token(stage: Stage) -> None:
    for path in ("/public", "/public/a", "/public?next=%2Fx"):
        assert (await ask(stage, path=path)).status == 200, path
    for path in ("/publicity", "/", "/public/../secret", "/public/%2e%2e/secret"):
        assert await refused(stage, path=path), path
    assert await refused(stage, ISSUER.token(lasts=-120), "/public"), "one that is sent must be good"


@case("access.jwt", api=access(jwt(optional=True)), files=KEYS)
async def an_optional_token_may_be_missing_not_wrong(stage: Stage) -> None:
    assert (await ask(stage)).status == (await ask(stage, ISSUER.token())).status == 200
    for token in (FALSE.token(), ISSUER.token(lasts=-120), OTHER.token(), "nonsense"):
        assert await refused(stage, token)


@case("access.jwt", api=access(jwt(audience=["staff"], claims={"role": "admin"}), jwt(OTHER)), files=KEYS)
async def one_of_several_kinds_is_enough(stage: Stage) -> None:
    for token in (ISSUER.token(aud="staff", role="admin"), OTHER.token(), OTHER.token(aud="staff")):
        assert (await ask(stage, token)).status == 200
    for token in (
        ISSUER.token(aud="staff"),
        ISSUER.token(role="admin"),
        "",
        OTHER.token(iss=ISSUER.name, aud="staff", role="admin"),
    ):
        assert await refused(stage, token)


_BETA = {"v1": {}, "v2": {"weight": 0, "match": {"claim": {"groups": "beta"}}}}


@case("match.claim", api=access(jwt(optional=True), versions=_BETA), files=KEYS)
async def a_claim_chooses_the_version(stage: Stage) -> None:
    for token, version in [
        ("", "v1"), (ISSUER.token(), "v1"), (ISSUER.token(groups=["a", "beta"]), "v2"), (ISSUER.token(groups="beta"), "v2"),
    ]:  # fmt: skip
        assert (await ask(stage, token)).version == version
    assert await refused(stage, tampered(ISSUER.token(), groups="beta"))
    assert (await stage.ask("/x")).version == "v1", "within the mesh nobody has a claim"


@case("access.jwt", api=access(jwt(), traffic={"cors": "https://shop.example"}), files=KEYS)
async def a_browser_may_ask_before_it_has_a_token(stage: Stage) -> None:
    asks = {"origin": "https://shop.example", "access_control_request_method": "GET"}
    answer = await ask(stage, method="OPTIONS", **asks)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    assert await refused(stage, origin="https://shop.example")
    assert await refused(stage, method="OPTIONS")


@case("needs operations", web="[{api: [GET /orders*, POST /orders, HEAD]}]")
async def operations_are_allowed_one_by_one(stage: Stage) -> None:
    for method, path in [
        ("GET", "/orders"), ("GET", "/orders/7"), ("GET", "/orders?x=/else"), ("POST", "/orders"), ("HEAD", "/any"),
    ]:  # fmt: skip
        assert (await stage.ask(path, method=method)).status == 200, (method, path)
    before = len(stage.seen)
    for method, path in [
        ("POST", "/orders/7"), ("DELETE", "/orders"), ("GET", "/else"), ("GET", "/else?x=/orders"), ("GET", "/orders/../else"),
    ]:  # fmt: skip
        assert (await stage.ask(path, method=method)).status == 403, (method, path)
    assert len(stage.seen) == before


@case("needs operations", web="[{api: read}]")
async def who_only_reads_may_not_write(stage: Stage) -> None:
    assert (await stage.ask("/x", method="GET")).status == 200
    for method in ("POST", "DELETE", "PUT", "PATCH"):
        assert (await stage.ask("/x", method=method)).status == 403, method


@case("access.audit", api="access: {audit: true}")
async def under_audit_everybody_passes(stage: Stage) -> None:
    for source in ("web", "other"):
        assert (await stage.ask("/x", source=source, method="POST")).status == 200, source
