"""What happens to requests and answers on their way: headers, addresses, origins, bodies, limits, and who gets them."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter

from tests.conformance.cases import case
from tests.conformance.cases_failures import ALL_V2
from tests.conformance.stages import Stage

MIB = 1024 * 1024
_REQUEST = """
traffic:
  headers:
    request: {set: {x-set: mine, x-percent: 100%}, add: {x-add: more}, remove: [x-secret]}
"""


@case("traffic.headers.request.set", "traffic.headers.request.add", "traffic.headers.request.remove", api=_REQUEST)
async def headers_on_the_way_to_the_service(stage: Stage) -> None:
    for source in ("web", "ingress"):
        seen = (await stage.ask("/", source=source, x_set="theirs", x_add="one", x_secret="s")).seen
        assert seen["x-set"] == "mine" and "x-secret" not in seen, seen
        assert seen["x-percent"] == "100%", seen
        assert seen["x-add"] in ("one,more", "more"), seen


_RESPONSE = """
traffic:
  headers:
    response: {set: {x-set: mine}, add: {x-add: more}, remove: [x-secret]}
"""


@case("traffic.headers.response.set", "traffic.headers.response.add", "traffic.headers.response.remove", api=_RESPONSE)
async def headers_on_the_way_back(stage: Stage) -> None:
    stage.behave(headers=(("x-set", "theirs"), ("x-add", "one"), ("x-secret", "s")))
    for source in ("web", "ingress"):
        headers = (await stage.ask("/", source=source)).headers
        assert headers["x-set"] == "mine" and "x-secret" not in headers, headers
        assert headers["x-add"].replace("\n", ",").split(",") == ["one", "more"], headers


_LEVELS = """
traffic:
  headers: {request: {set: {x-a: service, x-b: service}, add: {x-c: service}}, response: {set: {x-r: service}}}
  routes:
  - match: {path: /own}
    headers: {request: {set: {x-b: route}, remove: x-c}, response: {set: {x-r: route}}}
"""


@case("traffic.routes.headers", api=_LEVELS)
async def a_route_has_the_last_word_on_headers(stage: Stage) -> None:
    own, other = await stage.ask("/own"), await stage.ask("/")
    assert (own.seen["x-a"], own.seen["x-b"], own.headers["x-r"]) == ("service", "route", "route")
    assert "x-c" not in own.seen
    assert (other.seen["x-a"], other.seen["x-b"], other.headers["x-r"]) == ("service", "service", "service")
    assert other.seen["x-c"] == "service"


def redirected(to: str) -> str:
    return f"traffic: {{routes: [{{match: {{path: /old}}, redirect: {to}}}]}}"


@case("traffic.routes.redirect.to", api=redirected("/new/place"))
async def a_redirect_to_a_path(stage: Stage) -> None:
    for source in ("web", "ingress"):
        answer = await stage.ask("/old/x", source=source)
        assert answer.status == 302 and answer.headers["location"].endswith("/new/place"), answer
        host = stage.door(source).host
        assert answer.headers["location"] in ("/new/place", f"http://{host}/new/place"), answer
    assert (await stage.ask("/olds")).status == 200


@case("traffic.routes.redirect.to", api=redirected("https://elsewhere.example/a?b=1"))
async def a_redirect_to_another_address(stage: Stage) -> None:
    answer = await stage.ask("/old")
    assert answer.headers["location"] == "https://elsewhere.example/a?b=1"


@case("traffic.routes.redirect.to", api=redirected("http://elsewhere.example:8080"))
async def a_redirect_to_another_port(stage: Stage) -> None:
    answer = await stage.ask("/old/x")
    assert answer.headers["location"] == "http://elsewhere.example:8080/"


_STATUSES = "traffic: {routes: [" + ", ".join(
    f"{{match: {{path: /s{status}}}, redirect: {{to: /new, status: {status}}}}}" for status in (301, 302, 303, 307, 308)
) + "]}"  # fmt: skip


@case("traffic.routes.redirect.status", api=_STATUSES)
async def each_status_of_a_redirect(stage: Stage) -> None:
    for status in (301, 302, 303, 307, 308):
        assert (await stage.ask(f"/s{status}")).status == status


@case("traffic.routes.rewrite.path", api="traffic: {routes: [{match: {path: /old}, rewrite: /new}]}")
async def a_rewrite_takes_the_place_of_the_prefix(stage: Stage) -> None:
    expected = {"/old": "/new", "/old/": "/new/", "/old/x?y=1": "/new/x?y=1", "/older": "/older", "/": "/"}
    for source in ("web", "ingress"):
        for path, seen in expected.items():
            assert (await stage.ask(path, source=source)).json["path"] == seen, (source, path)


@case("traffic.routes.rewrite.path", api="traffic: {routes: [{match: {path: /old}, rewrite: /}]}")
async def a_rewrite_may_take_the_prefix_away(stage: Stage) -> None:
    for path, seen in {"/old": "/", "/old/": "/", "/old/x/y": "/x/y"}.items():
        assert (await stage.ask(path)).json["path"] == seen, path


@case("traffic.routes.rewrite.path", api="traffic: {routes: [{match: {header: {x-k: v}}, rewrite: /new}]}")
async def a_rewrite_without_a_path_puts_one_before(stage: Stage) -> None:
    for path, seen in {"/x": "/new/x", "/x/y?z": "/new/x/y?z"}.items():
        assert (await stage.ask(path, x_k="v")).json["path"] == seen, path
        assert (await stage.ask(path)).json["path"] == path


@case("traffic.routes.rewrite.path", api="traffic: {routes: [{match: {path: {exact: /one}}, rewrite: /two}]}")
async def a_rewrite_of_an_exact_path(stage: Stage) -> None:
    assert (await stage.ask("/one?x=1")).json["path"] == "/two?x=1"
    assert (await stage.ask("/one/x")).json["path"] == "/one/x"


@case("traffic.routes.rewrite.path", api="traffic: {routes: [{match: {path: {regex: '/v[0-9]+/x'}}, rewrite: /x}]}")
async def a_rewrite_of_what_a_regular_expression_matched(stage: Stage) -> None:
    assert (await stage.ask("/v2/x?q")).json["path"] == "/x?q"


@case(
    "traffic.routes.rewrite.path", "public", api="public: /api\ntraffic: {routes: [{match: {path: /}, rewrite: /v1}]}"
)
async def a_rewrite_of_everything_behind_a_public_path(stage: Stage) -> None:
    assert (await stage.ask("/api/x", source="ingress")).json["path"] == "/v1/api/x"
    assert (await stage.ask("/api", source="ingress")).json["path"] == "/v1/api"
    assert (await stage.ask("/y")).json["path"] == "/v1/y"


_HOST = "traffic: {routes: [{match: {path: /}, rewrite: {host: inner.example}}]}"


@case("traffic.routes.rewrite.host", api=_HOST)
async def a_rewrite_of_the_host(stage: Stage) -> None:
    for source in ("web", "ingress"):
        assert (await stage.ask("/x", source=source)).seen["host"] == "inner.example"


_CORS = """
traffic:
  cors:
    origins: [https://shop.example, https://*.shop.example]
    methods: [GET, PUT]
    headers: [x-token]
    expose: [x-total]
    credentials: true
"""


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


@case("traffic.cors.origins", "traffic.cors.expose", "traffic.cors.credentials", api=_CORS)
async def a_page_of_another_origin_calls(stage: Stage) -> None:
    for source in ("web", "ingress"):
        for origin in ("https://shop.example", "https://a.shop.example"):
            answer = await stage.ask("/", source=source, origin=origin)
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert _words(answer.headers["access-control-expose-headers"]) == ["x-total"]


@case("traffic.cors.methods", "traffic.cors.headers", "traffic.cors.max_age", api=_CORS)
async def a_preflight_is_answered_at_the_door(stage: Stage) -> None:
    for source in ("web", "ingress"):
        asked = {"access_control_request_method": "PUT", "origin": "https://shop.example"}
        answer = await stage.ask("/", source=source, method="OPTIONS", **asked)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert _words(answer.headers["access-control-allow-methods"]) == ["GET", "PUT"]
        assert _words(answer.headers["access-control-allow-headers"]) == ["x-token"]
        assert answer.headers["access-control-max-age"] == "600"
    assert stage.seen == []


@case("traffic.cors.origins", api=_CORS)
async def another_origin_is_not_allowed(stage: Stage) -> None:
    strangers = ["https://evil.example", "https://shop.example.evil", "https://a.b.shop.example", "http://shop.example"]
    for origin in strangers:
        asked = await stage.ask("/", method="OPTIONS", origin=origin, access_control_request_method="PUT")
        assert "access-control-allow-origin" not in asked.headers, origin
        plain = await stage.ask("/", origin=origin)
        assert "access-control-allow-origin" not in plain.headers, origin


@case("traffic.cors.origins", api='traffic: {cors: "*"}')
async def every_origin(stage: Stage) -> None:
    answer = await stage.ask("/", origin="https://any.example")
    assert answer.headers["access-control-allow-origin"] in ("*", "https://any.example")


@case("traffic.compress", api="traffic: {compress: true}")
async def answers_are_compressed_for_who_accepts_it(stage: Stage) -> None:
    text = b'{"long": "' + b"text " * 500 + b'"}'
    stage.behave(body=text)
    for source in ("web", "ingress"):
        answer = await stage.ask("/", source=source, accept_encoding="gzip")
        assert answer.headers["content-encoding"] == "gzip" and gzip.decompress(answer.body) == text
        assert (await stage.ask("/", source=source)).body == text
    stage.behave(body=b"{}")
    assert "content-encoding" not in (await stage.ask("/", accept_encoding="gzip")).headers


@case("traffic.max_body", api="traffic: {max_body: 1Mi}")
async def a_body_may_be_so_long(stage: Stage) -> None:
    for source in ("web", "ingress"):
        assert (await stage.ask("/", source=source, method="POST", body=b"x" * MIB)).json["size"] == MIB
        assert (await stage.ask("/", source=source, method="POST", body=b"x" * (MIB + 1))).status == 413
    assert [request.size for request in stage.seen] == [MIB, MIB]


async def passed(stage: Stage, count: int, path: str = "/", **options: str) -> int:
    """How many of so many are let through; the others are 429."""
    found = Counter(answer.status for answer in await stage.many(count, path, at_once=1, **options))
    assert found.keys() <= {200, 429}, found
    return found[200]


@case("traffic.limit.requests", "traffic.limit.per", api=f"{ALL_V2}\ntraffic: {{limit: 5/h}}")
async def no_more_than_so_many_from_all_together(stage: Stage) -> None:
    assert await passed(stage, 4) == 4
    assert await passed(stage, 4, source="ingress") == 1
    assert await passed(stage, 2) == 0
    assert len(stage.seen) == 5


@case("traffic.limit.per", api=f"{ALL_V2}\ntraffic: {{limit: {{requests: 2, per: 2s}}}}")
async def a_limit_fills_again(stage: Stage) -> None:
    assert await passed(stage, 6) < 6

    await asyncio.sleep(2.2)
    assert await passed(stage, 1) == 1


@case("traffic.limit.by", api=f"{ALL_V2}\ntraffic: {{limit: {{requests: 3, per: 1h, by: {{header: x-key}}}}}}")
async def a_limit_for_each_value_of_a_header(stage: Stage) -> None:
    assert await passed(stage, 6, x_key="a") == 3
    assert await passed(stage, 6, x_key="b") == 3
    assert await passed(stage, 6) == 3, "none is one more value"


@case("traffic.limit.by", api=f"{ALL_V2}\ntraffic: {{limit: {{requests: 3, per: 1h, by: caller}}}}")
async def a_limit_for_each_caller(stage: Stage) -> None:
    assert await passed(stage, 6) == 3
    assert await passed(stage, 6, source="ingress") == 3


@case("traffic.limit.by", api=f"{ALL_V2}\ntraffic: {{limit: {{requests: 3, per: 1h, by: client}}}}")
async def a_limit_for_each_client(stage: Stage) -> None:
    assert await passed(stage, 6, source="ingress") == 3
    assert await passed(stage, 2, source="ingress", x_aic_client="another") == 0, "nobody gives himself another name"
    assert await passed(stage, 6) == 3, "inside the mesh a client is a workload"


_OWN = f"""
{ALL_V2}
traffic:
  limit: 6/h
  routes: [{{match: {{path: /few}}, limit: 2/h}}, {{match: {{path: /plain}}}}]
"""


@case("traffic.routes.limit", api=_OWN)
async def a_route_has_its_own_limit(stage: Stage) -> None:
    assert await passed(stage, 4, "/few/x") == 2
    assert await passed(stage, 3, "/few", x_aic_limit="traffic") == 0
    assert await passed(stage, 4, "/plain") + await passed(stage, 8, "/") == 6
    assert not [name for request in stage.seen for name in request.headers if name.startswith("x-aic")]


@case(
    "traffic.limit.requests",
    api=f"{ALL_V2}\ntraffic: {{limit: [6/h, {{requests: 2, per: 1h, by: {{header: x-key}}}}]}}",
)
async def two_limits_both_hold(stage: Stage) -> None:
    assert await passed(stage, 4, x_key="a") == 2
    assert await passed(stage, 4, x_key="b") == 2


@case("traffic.balance.policy", api="traffic: {balance: round-robin}")
async def replicas_in_turn(stage: Stage) -> None:
    found = Counter(answer.replica for answer in await stage.many(40, at_once=1))
    assert abs(found["v1-1"] - found["v1-2"]) <= 4, found


@case("traffic.balance.policy", api="traffic: {balance: random}")
async def replicas_at_random(stage: Stage) -> None:
    found = Counter(answer.replica for answer in await stage.many(60))
    assert min(found["v1-1"], found["v1-2"]) >= 10, found


@case("traffic.balance.policy")
async def replicas_that_have_least_to_do(stage: Stage) -> None:
    stage.behave("v1-1", delay=2.0)
    found = Counter(answer.replica for answer in await stage.many(30, at_once=3))
    assert found["v1-2"] > found["v1-1"], found


async def same_replica(stage: Stage, *requests: dict[str, str]) -> None:
    """Each of these always goes to one replica, and all of them together to both."""
    homes = set()
    for options in requests:
        path = options.get("path", "/")
        headers = {name: value for name, value in options.items() if name != "path"}
        found = {answer.replica for answer in await stage.many(5, path, **headers)}
        assert len(found) == 1, (options, found)
        homes |= found
    assert homes == {"v1-1", "v1-2"}


@case("traffic.balance.header", api="traffic: {balance: {header: x-user}}")
async def equal_headers_to_the_same_replica(stage: Stage) -> None:
    await same_replica(stage, *({"x_user": f"user-{at}"} for at in range(12)))


@case("traffic.balance.cookie", api="traffic: {balance: {cookie: user}}")
async def equal_cookies_to_the_same_replica(stage: Stage) -> None:
    await same_replica(stage, *({"cookie": f"a=1; user=user-{at}"} for at in range(12)))
    assert "set-cookie" not in (await stage.ask("/")).headers, "none is given to who has none"


@case("traffic.balance.query", api="traffic: {balance: {query: user}}")
async def equal_query_parameters_to_the_same_replica(stage: Stage) -> None:
    await same_replica(stage, *({"path": f"/?user=user-{at}"} for at in range(12)))


@case("traffic.balance.client", api="traffic: {balance: {client: true}}")
async def equal_clients_to_the_same_replica(stage: Stage) -> None:
    for source in ("web", "ingress"):
        assert len({answer.replica for answer in await stage.many(12, source=source)}) == 1


def given(cookies: str) -> str:
    """The Cookie header of who got these Set-Cookie headers."""
    return "; ".join(one.split(";")[0] for one in cookies.splitlines())


@case("traffic.sticky.cookie", "traffic.sticky.lasts", api="traffic: {sticky: {cookie: me, lasts: 1h}}")
async def who_came_once_comes_back_to_the_same_replica(stage: Stage) -> None:
    homes = set()
    for _ in range(12):
        first = await stage.ask("/", source="ingress")
        assert "max-age=3600" in first.headers["set-cookie"].lower()
        cookie = given(first.headers["set-cookie"])
        found = {answer.replica for answer in await stage.many(4, source="ingress", cookie=cookie)}
        assert found == {first.replica}
        homes |= found
    assert homes == {"v1-1", "v1-2"}


_STICKY = "versions: {v1: {weight: 50}, v2: {weight: 50}}\ntraffic: {sticky: me}"


@case("traffic.sticky.cookie", "versions.weight", api=_STICKY)
async def who_came_once_comes_back_to_the_same_version(stage: Stage) -> None:
    homes = set()
    for _ in range(12):
        first = await stage.ask("/")
        cookie = given(first.headers["set-cookie"])
        again = await stage.many(4, cookie=f"other=1; {cookie}")
        assert {answer.version for answer in again} == {first.version}
        assert {answer.replica for answer in again} == {first.replica}
        homes.add(first.version)
    assert homes == {"v1", "v2"}
