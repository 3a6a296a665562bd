"""How single rules read in Envoy's words; what they do to requests is in tests/integration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiculturekit.mesh import envoy
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy import actions, browsers, capacities, edits, inbounds, limits
from aiculturekit.mesh.nodes import Caller, Entry, Node, Service, Version
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


def service(**traffic: object) -> Service:
    return Service("a", "s", (Version("v1", 1, 90), Version("v2", 2, 10)), traffic=Traffic(**traffic))  # type: ignore[arg-type]


def routes(made: Service, caller: str = "c") -> list[dict]:
    return [route for branch in branches(made) for route in actions.compiled(made, caller, branch)]


@pytest.mark.parametrize(
    ("matched", "new", "old_and_new"),
    [
        (Pattern(prefix="/old"), "/new", {"/old": "/new", "/old/": "/new/", "/old/x": "/new/x"}),
        (Pattern(prefix="/old/"), "/new/", {"/old": "/new", "/old/x": "/new/x"}),
        (Pattern(prefix="/old"), "/", {"/old": "/", "/old/": "/", "/old/x": "/x"}),
        (Pattern(prefix="/"), "/new", {"/": "/new/", "/x": "/new/x"}),
        (None, "/new", {"/x": "/new/x"}),
        (Pattern(exact="/old"), "/new", {"/old": "/new"}),
        (Pattern(regex="/o.*"), "/", {"/old/x": "/"}),
        (Pattern(prefix="/a.b"), "/c", {"/a.b/a.b": "/c/a.b"}),
    ],
)
def test_a_rewrite_replaces_whole_segments(matched: Pattern | None, new: str, old_and_new: dict[str, str]) -> None:
    made = service(routes=(Route(Match(path=matched), rewrite=Rewrite(path=new)),))
    change = routes(made)[0]["route"]["regex_rewrite"]
    found = {old: re.sub(change["pattern"]["regex"], change["substitution"], old, count=1) for old in old_and_new}
    assert found == old_and_new


def test_a_rewrite_is_the_same_behind_every_public_path() -> None:
    made = service(routes=(Route(Match(path=Pattern(prefix="/api")), rewrite=Rewrite(path="/v1")),))
    inner = branches(made, within="/api/orders")[0]
    assert inner.match.path == Pattern(prefix="/api/orders")
    [route] = actions.compiled(made, "c", inner)
    assert route["route"]["regex_rewrite"]["pattern"] == {"regex": "^/api"}


def test_a_later_edit_wins_over_an_earlier_one() -> None:
    first = Headers(Edits(set={"X-A": "1", "X-B": "50%"}), Edits(add={"x-c": "1"}))
    then = Headers(Edits(remove=("x-a",)), Edits(remove=("x-d",)))
    found = edits.compiled([first, then])
    assert [change["header"] for change in found["request_headers_to_add"]] == [{"key": "X-B", "value": "50%%"}]
    assert found["request_headers_to_remove"] == ["x-a"] and found["response_headers_to_remove"] == ["x-d"]
    assert edits.compiled([Headers()]) == {}


def test_redirects() -> None:
    found = {}
    for to in ("/new", "https://x.example", "http://x.example:81/a?b=1"):
        [route, *_] = routes(service(routes=(Route(Match(), redirect=Redirect(to)),)))
        found[to] = {key: value for key, value in route["redirect"].items() if key != "response_code"}
    assert found == {
        "/new": {"path_redirect": "/new"},
        "https://x.example": {"path_redirect": "/", "scheme_redirect": "https", "host_redirect": "x.example"},
        "http://x.example:81/a?b=1": {
            "path_redirect": "/a?b=1",
            "scheme_redirect": "http",
            "host_redirect": "x.example",
            "port_redirect": 81,
        },
    }


def test_who_has_a_cookie_keeps_his_version_and_the_others_get_one() -> None:
    one, two, rest = routes(service(sticky=Sticky("me", 60.0)))
    assert [route["route"]["cluster"] for route in (one, two)] == ["out/a/c/s/v1", "out/a/c/s/v2"]
    assert "me\\.a\\.s=v2" in two["match"]["headers"][0]["string_match"]["safe_regex"]["regex"]
    given = [cluster["response_headers_to_add"][0] for cluster in rest["route"]["weighted_clusters"]["clusters"]]
    assert given[1]["header"]["value"] == "me.a.s=v2; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
    claimed = Service(
        "a", "s", (Version("v1", 1), Version("v2", 2, 0, Match(method="PUT"))), traffic=Traffic(sticky=Sticky("me"))
    )
    assert len(routes(claimed)) == 3, "a version's own match needs no cookie; what is left has one version"


def test_a_version_is_not_mirrored_to_itself() -> None:
    made = service(mirror=Mirror("v2", 12.5), routes=(Route(Match(method="PUT"), version="v2"),))
    own, rest = routes(made)
    assert "request_mirror_policies" not in own["route"]
    [policy] = rest["route"]["request_mirror_policies"]
    assert policy["cluster"] == "out/a/c/s/v2"
    assert policy["runtime_fraction"]["default_value"] == {"numerator": 125_000, "denominator": "MILLION"}


def test_a_delay_and_an_abort_strike_the_same_requests() -> None:
    struck, spared = routes(service(fault=Fault(delay=1, abort=503, share=20)))
    assert struck["match"]["runtime_fraction"]["default_value"]["numerator"] == 200_000
    assert "typed_per_filter_config" in struck and "typed_per_filter_config" not in spared
    assert len(routes(service(fault=Fault(delay=1, share=20)))) == 1


def test_limits_are_counted_together_where_they_are_the_same_ones() -> None:
    own = (Route(Match(method="PUT"), limit=(Limit(2),)), Route(Match(method="POST"), timeout=1))
    made = service(limit=(Limit(9, by="caller"), Limit(5, 0.01)), routes=own)
    marks = [
        {h["header"]["key"]: h["header"]["value"] for h in route["request_headers_to_add"]} for route in routes(made)
    ]
    assert marks == [{"x-aic-limit": "route-1"}, {"x-aic-limit": "traffic"}, {"x-aic-limit": "traffic"}]
    [settings] = limits.compiled(made).values()
    buckets = {bucket["entries"][0]["value"]: bucket["token_bucket"] for bucket in settings["descriptors"]}
    assert set(buckets) == {"route-1/1", "traffic/1", "traffic/1/none", "traffic/2"}
    assert buckets["traffic/2"] == {"max_tokens": 5, "tokens_per_fill": 25, "fill_interval": "0.05s"}, (
        "never below 50 ms"
    )
    assert limits.compiled(service()) == {}


def test_the_clients_address_is_told_only_where_it_is_asked_for() -> None:
    made = service(balance=Balance("hash", client=True))
    [inside], [outside] = routes(made), routes(made, "ingress")
    assert inside["request_headers_to_add"][0]["header"] == {"key": "x-aic-client", "value": "c"}
    assert outside["request_headers_to_add"][0]["header"]["value"] == "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
    assert "request_headers_to_add" not in routes(service())[0]
    assert limits.is_by_client(service(routes=(Route(Match(), limit=(Limit(1, by="client"),)),)))


def test_origins_with_a_star_are_one_label() -> None:
    [settings] = browsers.compiled(Cors(("https://*.x.example:8443",))).values()
    [origin] = settings["allow_origin_string_match"]
    allowed = re.compile(origin["safe_regex"]["regex"]).fullmatch
    assert allowed("https://a.x.example:8443") and not allowed("https://a.b.x.example:8443")
    assert not allowed("https://ax.example:8443") and not allowed("https://a.xaexample:8443")


def test_the_smallest_retry_budget_holds_for_all() -> None:
    own = (Route(Match(), retries=Retries(1, budget=5)), Route(Match(), retries=Retries(1)))
    assert capacities.hop(Traffic(retries=Retries(1, budget=20), routes=own)) == {
        "retry_budget": {"budget_percent": {"value": 5}}
    }
    assert capacities.hop(Traffic()) == {}


def test_waiting_for_a_connection_is_bounded_where_each_carries_one_request() -> None:
    traffic = Traffic(breaker=Breaker(max_requests=9, max_connections=2))
    for protocol, found in {"http": 2, "http2": None, "tcp": None}.items():
        made = Service("a", "s", traffic=traffic, versions=(), protocol=protocol)  # type: ignore[arg-type]
        assert capacities.replicas(made).get("max_pending_requests") == found
        assert (capacities.replicas(made)["max_requests"], capacities.replicas(made)["max_connections"]) == (9, 2)


def test_only_a_body_of_unknown_length_is_held() -> None:
    made = service(max_body=10)
    found = inbounds.routes(made, made.versions[0])
    assert found[0]["direct_response"] == {"status": 413}
    assert found[0]["match"]["headers"][0]["range_match"]["start"] == 11
    assert ["typed_per_filter_config" in route for route in found[1:]] == [False] * 6 + [True] * 2
    assert len(inbounds.routes(service(), made.versions[0])) == 2


EVERY = (
    Traffic(timeout=1, retries=Retries(3, budget=20), breaker=Breaker(errors=5, max_requests=3, max_connections=3)),
    Traffic(limit=(Limit(1), Limit(1, by="client"), Limit(1, by="header x")), max_body=1, compress=True),
    Traffic(balance=Balance("hash", client=True), sticky=Sticky("me"), mirror=Mirror("v2"), cors=Cors(("*",))),
    Traffic(
        fault=Fault(delay=1), headers=Headers(Edits(set={"a": "b"})), routes=(Route(Match(), rewrite=Rewrite("/x")),)
    ),
)


@pytest.mark.parametrize("traffic", EVERY, ids=["capacity", "limits", "choice", "changes"])
def test_no_rule_changes_a_listener(traffic: Traffic) -> None:
    """A listener that changes drains its connections."""

    def listeners(traffic: Traffic) -> object:
        versions = (Version("v1", 1, 90), Version("v2", 2, 10))
        made = Service("a", "s", versions, callers=("c",), traffic=traffic)
        node = Node(80, (made,), (Caller("a", "c", 3, {"s": 4}),), (Entry("a", "/", "s"),))
        return envoy.compile(node, folder=Path("/m"), admin=Path("/m/s"))["lds.json"]

    assert listeners(traffic) == listeners(Traffic())
