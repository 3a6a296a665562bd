"""Every rule of `traffic` with the real Envoy: what it does to real requests."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.rules import (
    Balance,
    Breaker,
    Cors,
    Edits,
    Fault,
    Headers,
    Limit,
    Match,
    Mirror,
    Pattern,
    Redirect,
    Retries,
    Rewrite,
    Route,
    Sticky,
    Traffic,
)
from tests.mesh import stages, streams

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
async def orders(mesh: Mesh, stage: Any) -> AsyncIterator[Any]:
    async with stages.Replica("orders") as replica:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", replica)
        yield replica


def prefix(path: str) -> Match:
    return Match(path=Pattern(prefix=path))


async def rule(mesh: Mesh, stage: Any, **traffic: Any) -> int:
    """Put it in force for orders; the port on which gw calls it."""
    await mesh.apply(stage.node(traffic=Traffic(**traffic), callers=("gw", "ingress")))
    return int(stage.ports["gw-orders"])


async def test_redirect_and_rewrite(mesh: Mesh, stage: Any, orders: Any) -> None:
    routes = (
        Route(prefix("/gone"), redirect=Redirect("/new", status=308)),
        Route(prefix("/away"), redirect=Redirect("https://shop.example:8443/there", status=301)),
        Route(prefix("/old"), rewrite=Rewrite(path="/new")),
        Route(prefix("/api/orders"), rewrite=Rewrite(path="/", host="inner.example")),
        Route(prefix("/api"), rewrite=Rewrite(path="/v1")),
        Route(Match(path=Pattern(exact="/one")), rewrite=Rewrite(path="/other")),
        Route(Match(method="PUT"), rewrite=Rewrite(path="/put")),
    )
    port = await rule(mesh, stage, routes=routes)
    gone = await stages.get(port, "/gone/x?page=2", host="orders")
    assert (gone.status, gone.headers["location"]) == (308, "http://orders/new?page=2")
    away = await stages.get(port, "/away")
    assert (away.status, away.headers["location"]) == (301, "https://shop.example:8443/there")
    seen = {}
    for path in ("/old", "/old/", "/old/x?y=1", "/older", "/api/orders", "/api/orders/7", "/api/x", "/one", "/one/x"):
        seen[path] = (await stages.get(port, path)).json["path"]
    assert seen == {
        "/old": "/new",
        "/old/": "/new/",
        "/old/x?y=1": "/new/x?y=1",
        "/older": "/older",
        "/api/orders": "/",
        "/api/orders/7": "/7",
        "/api/x": "/v1/x",
        "/one": "/other",
        "/one/x": "/one/x",
    }
    assert (await stages.get(port, "/a", method="PUT")).json["path"] == "/put/a"
    inner = await stages.get(port, "/api/orders")
    assert inner.json["headers"]["host"] == "inner.example"
    outside = await stages.get(stage.ports["ingress"], "/api/orders/7")
    assert outside.json["path"] == "/7", "the same at the ingress"
    assert not [name for name in inner.headers if name.startswith("x-")], inner.headers


async def test_headers_are_changed_in_order(mesh: Mesh, stage: Any, orders: Any) -> None:
    common = Headers(
        request=Edits(set={"x-a": "100%", "x-b": "common"}, add={"x-c": "1"}, remove=("x-secret",)),
        response=Edits(set={"server": "shop"}, add={"x-more": "1"}),
    )
    own = Headers(request=Edits(set={"x-b": "own"}, remove=("x-c",)), response=Edits(remove=("x-more",)))
    port = await rule(mesh, stage, headers=common, routes=(Route(prefix("/own"), headers=own),))
    plain = await stages.get(port, "/", x_secret="s", x_a="old")
    seen = plain.json["headers"]
    assert (seen["x-a"], seen["x-b"], seen["x-c"], "x-secret" in seen) == ("100%", "common", "1", False)
    assert (plain.headers["server"], plain.headers["x-more"]) == ("shop", "1")
    other = await stages.get(port, "/own", x_c="theirs")
    assert other.json["headers"]["x-b"] == "own" and "x-c" not in other.json["headers"]
    assert "x-more" not in other.headers and other.headers["server"] == "shop"


async def test_a_fault_strikes_its_share(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(mesh, stage, fault=Fault(abort=418, share=30))
    client = stages.Client(port)
    found = Counter([(await client.get()).status for _ in range(1000)])
    assert set(found) == {200, 418} and abs(found[418] - 300) < 75, found  # five standard deviations
    await rule(mesh, stage, fault=Fault(delay=0.2, abort=503, share=50))
    times: dict[int, list[float]] = {}
    for _ in range(30):
        started = time.perf_counter()
        status = (await client.get()).status
        times.setdefault(status, []).append(time.perf_counter() - started)
    assert min(times[503]) > 0.19, "both happen to the same requests"
    assert min(times[200]) < 0.19
    await rule(mesh, stage, fault=Fault(abort=503, when=Match(header={"x-fault": Pattern(exact="1")})))
    assert ((await client.get()).status, (await client.get(x_fault="1")).status) == (200, 503)
    client.close()


async def test_a_fault_strikes_the_calls_of_those_who_are_named(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(mesh, stage, fault=Fault(abort=503, callers=("gw",)))
    outside = stage.ports["ingress"]
    assert (await stages.get(port)).status == 503
    assert (await stages.get(outside, "/api/orders")).status == 200
    mine = Route(Match(path=Pattern(prefix="/api/orders/mine")), fault=Fault(abort=418, callers=("ingress",)))
    await rule(mesh, stage, routes=(mine,))
    assert (await stages.get(outside, "/api/orders/mine")).status == 418
    assert (await stages.get(port, "/api/orders/mine")).status == 200


async def test_pages_of_other_origins(mesh: Mesh, stage: Any, orders: Any) -> None:
    cors = Cors(
        ("https://shop.example", "https://*.shop.example"),
        methods=("GET", "PUT"),
        headers=("x-token",),
        expose=("x-total",),
        credentials=True,
    )
    await rule(mesh, stage, cors=cors, routes=(Route(Match(method="PUT"), timeout=5),))
    for port, path in ((stage.ports["gw-orders"], "/"), (stage.ports["ingress"], "/api/orders")):
        orders.seen = 0
        asked = {"method": "OPTIONS", "access_control_request_method": "PUT"}
        for origin in ("https://shop.example", "https://a.shop.example"):
            answer = await stages.get(port, path, origin=origin, **asked)
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["access-control-allow-methods"] == "GET, PUT"
            assert answer.headers["access-control-allow-headers"] == "x-token"
            assert answer.headers["access-control-max-age"] == "600"
        for origin in (
            "https://evil.example",
            "https://shop.example.evil",
            "https://a.b.shop.example",
            "http://shop.example",
        ):
            answer = await stages.get(port, path, origin=origin, **asked)
            assert "access-control-allow-origin" not in answer.headers, origin
        assert orders.seen == 0, "answered at the edge"
        real = await stages.get(port, path, origin="https://shop.example")
        assert real.json["name"] == "orders" and real.headers["access-control-expose-headers"] == "x-total"
    await rule(mesh, stage, cors=Cors(("*",), methods=("GET",)))
    anybody = await stages.get(stage.ports["gw-orders"], origin="https://any.example")
    assert anybody.headers["access-control-allow-origin"] in ("*", "https://any.example")


async def test_answers_are_compressed_for_who_accepts_it(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(mesh, stage, compress=True)
    text = await stages.get(port, "/text", accept_encoding="gzip")
    assert text.headers.get("content-encoding") == "gzip" and gzip.decompress(text.body) == b"long " * 1000
    assert "content-encoding" not in (await stages.get(port, "/text")).headers
    await rule(mesh, stage)
    assert "content-encoding" not in (await stages.get(port, "/text", accept_encoding="gzip")).headers


async def test_a_body_may_be_so_long(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(mesh, stage, max_body=1000)
    assert (await stages.send(port, [b"x" * 1000])).json["body"] == 1000
    told = await stages.send(port, [b"x" * 1001])
    assert told.status == 413 and b"1000 bytes" in told.body, told.body
    assert (await stages.send(port, [b"x" * 500, b"y" * 500], chunked=True)).json["body"] == 1000
    counted = await stages.send(port, [b"x" * 500, b"y" * 501], chunked=True)
    assert counted.status == 413 and b"shop/orders takes: 1000 bytes" in counted.body, counted.body
    assert orders.seen == 2
    await rule(mesh, stage)
    assert (await stages.send(port, [b"x" * 500_000], chunked=True)).json["body"] == 500_000


async def test_a_mirror_never_changes_the_answer(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        versions = stage.split(100, 0)
        await mesh.apply(stage.node(versions=versions, traffic=Traffic(mirror=Mirror("v2"))))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        client = stages.Client(stage.ports["gw-orders"])
        for path in ("/", "/slow", "/fail"):
            for _ in range(30):
                assert (await client.get(path, x_n="7")).json["name"] == "one"
        await stages.until(lambda: two.seen == 90)
        assert one.seen == 90 and two.last["host"] == one.last["host"], "the copy is the same request"
        await mesh.apply(stage.node(versions=versions, traffic=Traffic(mirror=Mirror("v2", share=30))))
        two.seen = 0
        for _ in range(1000):
            assert (await client.get()).json["name"] == "one"
        await asyncio.sleep(0.3)
        assert abs(two.seen - 300) < 75, two.seen
        two.die()
        for _ in range(20):
            assert (await client.get()).json["name"] == "one", "a dead mirror is nobody's trouble"
        client.close()


async def test_limits(mesh: Mesh, stage: Any, orders: Any) -> None:
    one_key = Limit(3, per=60, by="header x-key")
    routes = (Route(prefix("/own"), limit=(Limit(2, per=60),)), Route(prefix("/key"), limit=(one_key,)))
    port = await rule(mesh, stage, limit=(Limit(5, per=60, by="client"),), routes=routes)
    ingress = stage.ports["ingress"]

    async def passed(port: int, path: str, **headers: str) -> int:
        found = [(await stages.get(port, path, **headers)).status for _ in range(8)]
        assert set(found) <= {200, 429} and found == sorted(found)
        return found.count(200)

    assert await passed(port, "/") == 5
    assert await passed(ingress, "/api/orders", x_aic_client="me", x_aic_limit="none") == 5, "its own bucket"
    assert await passed(port, "/", x_aic_client="other", x_aic_limit="other") == 0, "nobody gives himself another name"
    assert await passed(port, "/own") == 2
    assert [await passed(port, "/key", x_key=key) for key in "ab"] == [3, 3]
    assert await passed(port, "/key") == 3 and await passed(port, "/key", x_key="") == 0
    refused = await stages.get(port, "/own")
    assert b"shop/orders takes no more requests for now: " in refused.body and b"2 in 60s" in refused.body
    assert int(refused.headers["retry-after"]) == 30
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert not [name for name in (*refused.headers, *orders.last) if name.startswith("x-aic")], orders.last
    port = await rule(mesh, stage, limit=(Limit(4, per=60), Limit(3, per=60, by="caller")))
    assert await passed(port, "/") == 3
    assert await passed(ingress, "/api/orders") <= 1


async def test_sticky(mesh: Mesh, stage: Any) -> None:
    async with (
        stages.Replica("a") as a,
        stages.Replica("b") as b,
        stages.Replica("c") as c,
        stages.Replica("d") as d,
    ):

        async def weights(one: float, two: float) -> None:
            await mesh.apply(stage.node(versions=stage.split(one, two), traffic=Traffic(sticky=Sticky("me"))))

        async def again(cookies: dict[str, str]) -> Any:
            sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
            return await stages.get(stage.ports["gw-orders"], cookie=sent)

        await weights(50, 50)
        await stages.publish(mesh, "orders", a, b)
        await stages.publish(mesh, "orders", c, d, version="v2")
        sessions: dict[int, dict[str, str]] = {}
        homes: dict[int, object] = {}
        for at in range(60):
            first = await stages.get(stage.ports["gw-orders"])
            sessions[at] = first.cookies
            homes[at] = first.json["name"]
            assert set(first.cookies) == {"me.shop.orders", "me.shop.orders.replica"}, first.cookies
        assert set(homes.values()) == {"a", "b", "c", "d"}

        async def check() -> None:
            for at, cookies in sessions.items():
                answer = await again(cookies)
                assert answer.json["name"] == homes[at]
                assert not answer.cookies

        await check()
        await weights(95, 5)
        await check()
        fresh = Counter([(await stages.get(stage.ports["gw-orders"])).json["name"] for _ in range(60)])
        assert fresh["a"] + fresh["b"] > 45, "new ones come as the weights say now"
        async with stages.Replica("e") as e:
            await stages.publish(mesh, "orders", a, b, e)
            await check()
        await stages.publish(mesh, "orders", a)
        for at, cookies in sessions.items():
            if homes[at] == "b":
                answer = await again(cookies)
                assert answer.json["name"] == "a" and set(answer.cookies) == {"me.shop.orders.replica"}, "b is gone"
        await weights(100, 0)
        for cookies in sessions.values():
            answer = await again(cookies)
            assert answer.json["name"] == "a", "a version without weight takes nobody"


async def test_balance(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("a") as a, stages.Replica("b") as b, stages.Replica("c") as c:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", a, b, c)
        port = stage.ports["gw-orders"]

        async def hit(count: int = 60, *, port: int = port, path: str = "/", **headers: str) -> Counter[object]:
            client = stages.Client(port)
            try:
                return Counter([(await client.get(path, **headers)).json["name"] for _ in range(count)])
            finally:
                client.close()

        for policy in ("round-robin", "random", "least-request"):
            await rule(mesh, stage, balance=Balance(policy))  # type: ignore[arg-type]
            found = await hit(90)
            assert set(found) == {"a", "b", "c"} and min(found.values()) >= (25 if policy == "round-robin" else 8), (
                found
            )
        await rule(mesh, stage, balance=Balance("hash", header="x-user"))
        homes = {user: await hit(6, x_user=str(user)) for user in range(20)}
        assert all(len(found) == 1 for found in homes.values()) and len({next(iter(f)) for f in homes.values()}) == 3
        await rule(mesh, stage, balance=Balance("hash", cookie="user"))
        assert len(await hit(10, cookie="user=7")) == 1
        await rule(mesh, stage, balance=Balance("hash", query="user"))
        assert len(await hit(10, path="/?user=7")) == 1
        await rule(mesh, stage, balance=Balance("hash", client=True))
        assert len(await hit(20)) == 1
        assert len(await hit(20, port=stage.ports["ingress"], path="/api/orders")) == 1
        assert not [name for one in (a, b, c) for name in one.last if name.startswith("x-aic")]


async def test_what_is_too_much_is_refused_at_once(mesh: Mesh, stage: Any, orders: Any) -> None:
    for breaker, most in ((Breaker(max_requests=3), 3), (Breaker(max_connections=2), 6)):
        port = await rule(mesh, stage, breaker=breaker, retries=Retries())
        started = time.perf_counter()
        refusals: list[float] = []

        async def ask(port: int = port, started: float = started, refusals: list[float] = refusals) -> int:
            status = (await stages.get(port, "/slow")).status
            if status == 503:
                refusals.append(time.perf_counter() - started)
            return status

        found = Counter(await asyncio.gather(*[ask() for _ in range(20)]))
        assert found[200] + found[503] == 20 and 2 <= found[200] <= most, (breaker, found)
        assert sorted(refusals)[0] < 0.3, "at once, not after the slow ones"
        assert (await stages.get(port)).status == 200


async def test_retries_stay_within_their_budget(mesh: Mesh, stage: Any, orders: Any) -> None:
    async def copies(retries: Retries) -> float:
        port = await rule(mesh, stage, retries=retries)
        orders.seen = 0
        await asyncio.gather(*[stages.get(port, "/fail?slow") for _ in range(60)])
        return orders.seen / 60

    assert await copies(Retries(attempts=3, on="5xx")) == 4
    assert await copies(Retries(attempts=3, on="5xx", budget=20)) < 2.5


async def test_a_route_to_a_version_has_its_own_timeout_and_retries(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("one") as one, stages.Replica("two") as two:
        routes = (Route(prefix("/slow"), version="v2", timeout=0.1, retries=Retries(attempts=2, on="gateway-error")),)
        await mesh.apply(stage.node(versions=stage.split(100, 0), traffic=Traffic(routes=routes)))
        await stages.publish(mesh, "orders", one)
        await stages.publish(mesh, "orders", two, version="v2")
        assert (await stages.get(stage.ports["gw-orders"], "/slow")).status == 504
        assert (await stages.get(stage.ports["gw-orders"], "/slowly/x")).json["name"] == "one"


async def test_events_arrive_one_by_one(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(mesh, stage, compress=True, max_body=100, sticky=Sticky("me"), fault=Fault(delay=0.01))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    for number in range(3):
        await asyncio.wait_for(reader.readuntil(b"data: %d" % number), 5)
        assert orders.events == number + 1, "not held back until there are more"
        orders.next.set()
    writer.close()


async def test_a_websocket_passes_every_rule(mesh: Mesh, stage: Any, orders: Any) -> None:
    port = await rule(
        mesh, stage, compress=True, max_body=3, sticky=Sticky("me"), limit=(Limit(100),), cors=Cors(("*",))
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert b" 101 " in head.split(b"\r\n")[0]
    for _ in range(5):
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
    writer.close()


async def test_a_grpc_call_streams_both_ways_and_ends_with_its_trailers(mesh: Mesh, stage: Any) -> None:
    seen: list[dict[str, str]] = []
    rules = Traffic(max_body=3, compress=True, limit=(Limit(2, per=60),), sticky=Sticky("me"), timeout=None)
    async with streams.server(seen) as port:
        await mesh.apply(stage.node(protocol="http2", traffic=rules, callers=("gw", "ingress")))
        await mesh.publish("shop", "orders", version="v1", ports=[port])
        async with streams.call(stage.ports["gw-orders"]) as call:
            for number, message in enumerate((b"one ", b"two ", b"six ")):
                call.send(message)
                assert (await call.until(4 * number + 4)).endswith(message.upper()), "before the next is sent"
            call.send(b"", is_last=True)
            await call.until(1000)
            assert (call.headers[":status"], call.trailers) == ("200", {"grpc-status": "0"})
        assert seen[0]["te"] == "trailers" and not [name for name in seen[0] if name.startswith("x-aic")]
        async with streams.call(stage.ports["gw-orders"]) as call:
            call.send(b"x", is_last=True)
            assert await call.until(1000) == b"X" and call.trailers == {"grpc-status": "0"}
        async with streams.call(stage.ports["gw-orders"]) as call:
            call.send(b"x", is_last=True)
            await call.until(1000)
            assert (call.headers[":status"], call.headers["grpc-status"]) == ("200", "8"), "RESOURCE_EXHAUSTED"
