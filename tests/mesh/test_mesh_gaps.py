"""What a mesh for a cluster cannot say is named with its key and a reason; what it can say is not."""

from __future__ import annotations

import re

import pytest

from aiculturekit.mesh import gateway_api, linkerd
from aiculturekit.mesh.features import node
from aiculturekit.mesh.gateway_api import matches, precedence
from aiculturekit.mesh.linkerd import notes, permissions
from aiculturekit.mesh.manifests import duration
from aiculturekit.mesh.nodes import Caller, Egress, Node, Service, Version
from aiculturekit.mesh.rendering import Place
from aiculturekit.mesh.rules import (
    Cors,
    Edits,
    Headers,
    Limit,
    Match,
    Pattern,
    Redirect,
    Retries,
    Rewrite,
    Route,
    Traffic,
)

PLACE = Place("shop")
TWO = (Version("v1", 1, 90), Version("v2", 2, 10))


def prefix(path: str, **rest: object) -> Match:
    return Match(path=Pattern(prefix=path), **rest)  # type: ignore[arg-type]


def header(name: str) -> Match:
    return Match(header={name: Pattern(exact="1")})


def routed(*routes: Route, versions: tuple[Version, ...] = TWO, public: str = "") -> Node:
    return node(versions=versions, traffic=Traffic(routes=routes), public=public)


def keys(found: tuple[object, ...]) -> list[str]:
    return [gap.key for gap in found]  # type: ignore[attr-defined]


def test_what_is_not_stated_is_no_gap() -> None:
    for renderer in (linkerd, gateway_api):
        assert renderer.gaps(node()) == ()


@pytest.mark.parametrize(
    ("routes", "disputed"),
    [
        ((Route(prefix("/a/b"), version="v1"), Route(prefix("/a"), version="v2")), []),
        ((Route(prefix("/a"), version="v1"), Route(prefix("/a/b"), version="v2")), ["traffic.routes.0"]),
        ((Route(header("x"), version="v1"), Route(prefix("/a"), version="v2")), ["traffic.routes.0"]),
        ((Route(header("x"), version="v1"), Route(Match(method="GET"), version="v2")), ["traffic.routes.0"]),
        ((Route(header("x"), version="v1"), Route(header("y"), version="v2")), []),
        ((Route(Match(path=Pattern(exact="/a")), version="v1"), Route(prefix("/a"), version="v2")), []),
        ((Route(Match(path=Pattern(regex="/a.*")), version="v1"),), []),
        ((Route(Match(path=Pattern(regex="/a.*")), version="v1"), Route(prefix("/b"), version="v2")), []),
        (
            (Route(prefix("/a"), version="v1"), Route(Match(path=Pattern(regex="/a/.*")), version="v2")),
            ["traffic.routes.0"],
        ),
    ],
)
def test_the_first_that_fits_must_be_the_most_specific_one(routes: tuple[Route, ...], disputed: list[str]) -> None:
    assert keys(gateway_api.gaps(routed(*routes))) == disputed
    assert keys(linkerd.gaps(routed(*routes))) == disputed


def test_a_public_path_is_part_of_the_comparison() -> None:
    """Within /a the rule for the rest has a path too, whose place beside a regular expression nobody knows."""
    rule = Route(Match(path=Pattern(regex="/a/[0-9]+")), version="v2")
    assert keys(gateway_api.gaps(routed(rule, public="/a"))) == ["traffic.routes.0"]
    assert keys(linkerd.gaps(routed(rule, public="/a"))) == []


def test_a_reason_names_both_sides_of_a_dispute() -> None:
    (gap,) = gateway_api.gaps(routed(Route(header("x"), version="v1"), Route(prefix("/a"), version="v2")))
    assert "traffic.routes.0 and traffic.routes.1" in gap.reason
    assert (gap.app, gap.service) == ("shop", "orders")


def test_the_place_of_a_branch_is_a_key_of_the_file() -> None:
    from aiculturekit.mesh.branches import Branch

    def place(name: str) -> str:
        return precedence.place(Branch(name, Match(), (), None, Retries()))

    assert place("route-3-v2") == "traffic.routes.2"
    assert place("rest-v2") == "versions.v2.match"
    assert place("rest") == "traffic"


def test_routes_of_linkerd_with_other_annotations_have_no_order() -> None:
    one, other = Route(header("x"), timeout=1.0), Route(header("y"), timeout=2.0)
    assert keys(linkerd.gaps(routed(one, other))) == ["traffic.routes.0"]
    assert keys(linkerd.gaps(routed(Route(header("x"), timeout=1.0), Route(header("y"), timeout=1.0)))) == []
    assert keys(gateway_api.gaps(routed(one, other))) == []


def test_a_route_has_sixteen_rules_at_most() -> None:
    routes = [Route(prefix(f"/{at:02}"), version="v1") for at in range(16)]
    assert keys(gateway_api.gaps(routed(*routes[:15]))) == []
    assert keys(gateway_api.gaps(routed(*routes))) == ["traffic.routes"]


def test_the_name_of_a_versions_service_must_be_free() -> None:
    services = (Service("shop", "orders", TWO), Service("shop", "orders-v2", (Version("v1", 3),)))
    for renderer in (linkerd, gateway_api):
        assert keys(renderer.gaps(Node(8080, services))) == ["versions.v2"]


@pytest.mark.parametrize(
    "route",
    [
        Route(prefix("/a"), redirect=Redirect("/b?c=1")),
        Route(Match(path=Pattern(regex="/a.*")), rewrite=Rewrite(path="/b")),
        Route(prefix("/a"), rewrite=Rewrite(host="b:80")),
        Route(prefix("/ä"), version="v1"),
        Route(Match(path=Pattern(exact="/a/../b")), version="v1"),
        Route(header("x"), headers=Headers(Edits(set={"x": "ä"}))),
        Route(Match(header={"x": Pattern(exact="ä")}), version="v1"),
        Route(Match(cookie={"x": Pattern(exact="ä")}), version="v1"),
        Route(Match(query={"a b": Pattern(exact="1")}), version="v1"),
        Route(Match(method="PURGE"), version="v1"),
        Route(Match(cookie={"a": Pattern(exact="1"), "b": Pattern(exact="1")}), version="v1"),
        Route(Match(cookie={"a": Pattern(exact="1")}, header={"Cookie": Pattern(exact="1")}), version="v1"),
    ],
)
def test_values_that_a_route_cannot_carry(route: Route) -> None:
    assert len(gateway_api.gaps(routed(route))) == 1


def test_regular_expressions_are_for_the_whole_text() -> None:
    def made(pattern: Pattern) -> str:
        (found,) = matches.compiled(Match(header={"x": pattern}))["headers"]
        return str(found["value"])

    assert made(Pattern(regex="a|ab")) == "^(?:a|ab)$"
    assert made(Pattern(regex="^a+$")) == "^a+$"
    assert made(Pattern(prefix="a.b")) == r"^a\.b.*$"
    assert made(Pattern(present=True)) == "^.*$"


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (Pattern(exact="b"), ["g=b", "a=1; g=b", "g=b; z=1", "a=1;g=b;z=2"], ["xg=b", "g=bc", "a=g=b", "g=c"]),
        (Pattern(prefix="b"), ["g=b", "g=bc; z=1"], ["g=cb", "a=b"]),
        (Pattern(regex="b|c"), ["g=c", "a=1; g=b"], ["g=bc", "g=d"]),
        (Pattern(present=True), ["g=", "a=1; g=x; z=1"], ["gg=1", "a=g"]),
    ],
)
def test_a_cookie_is_found_among_others(pattern: Pattern, fits: list[str], fails: list[str]) -> None:
    (found,) = matches.compiled(Match(cookie={"g": pattern}))["headers"]
    assert [text for text in [*fits, *fails] if re.fullmatch(found["value"], text)] == fits


def test_an_origin_for_any_one_subdomain_is_not_one_for_any_number() -> None:
    assert keys(gateway_api.gaps(node(traffic=Traffic(cors=Cors(("https://*.example.com",)))))) == ["traffic.cors"]
    assert gateway_api.gaps(node(traffic=Traffic(cors=Cors(("*",))))) == ()


def test_linkerd_tries_again_on_what_it_knows() -> None:
    known = Retries(2, "connect-failure,5xx,retriable-4xx", 0.25)
    assert linkerd.gaps(node(traffic=Traffic(retries=known))) == ()
    assert notes.of_retries(known) == {
        "retry.linkerd.io/http": "5xx,409",
        "retry.linkerd.io/limit": "2",
        "retry.linkerd.io/timeout": "250ms",
    }
    assert keys(linkerd.gaps(node(traffic=Traffic(retries=Retries(2, "reset"))))) == ["traffic.retries.on"]
    assert keys(linkerd.gaps(node(traffic=Traffic(retries=Retries(2, per_try=1.0))))) == ["traffic.retries.per_try"]
    assert notes.of_retries(Retries(3)) == {}


def test_linkerd_counts_by_the_second_once_for_all_and_once_for_each_caller() -> None:
    assert linkerd.gaps(node(traffic=Traffic(limit=(Limit(9), Limit(3, by="caller"))))) == ()
    assert keys(linkerd.gaps(node(traffic=Traffic(limit=(Limit(600, 60.0),))))) == ["traffic.limit.0"]
    assert keys(linkerd.gaps(node(traffic=Traffic(limit=(Limit(9), Limit(5)))))) == [
        "traffic.limit.0",
        "traffic.limit.1",
    ]


def test_linkerd_allows_an_address_outside_to_all_or_none() -> None:
    def outside(*egresses: Egress) -> Node:
        return Node(8080, callers=(Caller("shop", "a", 1), Caller("shop", "b", 2)), egresses=egresses)

    one, other = (Egress("shop", caller, "https", "api.example.com", 443) for caller in "ab")
    assert linkerd.gaps(outside(one, other)) == ()
    (gap,) = linkerd.gaps(outside(one))
    assert (gap.service, gap.key) == ("a", "needs")
    assert "b would have https://api.example.com too" in gap.reason
    kinds = [document["kind"] for document in linkerd.render(outside(one, other), place=PLACE)]
    assert kinds == ["EgressNetwork", "TLSRoute"]
    tcp = (Egress("shop", caller, "tcp", "db.example.com", 5432) for caller in "ab")
    assert keys(linkerd.gaps(outside(*tcp))) == ["needs", "needs"]


OPERATIONS = {
    "apart": {"a": (("GET", "/x*"),), "b": (("POST", "/x*"),)},
    "nested": {"a": (("GET", ""),), "b": (("GET", "/x*"),)},
    "same path": {"a": (("", "/x"),), "b": (("GET", "/x"),)},
    "same callers": {"a": (("GET", "/x*"), ("GET", "/x/y"))},
}


@pytest.mark.parametrize("operations", OPERATIONS.values(), ids=OPERATIONS)
def test_operations_that_linkerd_can_tell_apart(operations: dict[str, tuple[tuple[str, str], ...]]) -> None:
    assert linkerd.gaps(node(callers=(*operations, "web"), operations=operations)) == ()


def test_operations_that_linkerd_would_mix_up() -> None:
    for one, other in ((("GET", "/x*"), ("GET", "/x/y*")), (("POST", "/x*"), ("", "/x/y")), (("GET", ""), ("", "/x"))):
        operations = {"a": (one,), "b": (other,)}
        assert keys(linkerd.gaps(node(callers=("a", "b"), operations=operations))) == ["needs", "needs"]
    found = linkerd.gaps(node(public="/", operations={"web": (("GET", ""),)}))
    assert [(gap.service, gap.key) for gap in found] == [("web", "needs")]


def test_whoever_may_do_more_may_do_an_operation_of_others_too() -> None:
    operations = {"a": (("GET", ""),), "b": (("GET", "/x*"),)}
    (service,) = node(callers=("a", "b", "web"), operations=operations).services
    assert permissions.regions(service) == [
        ((Match(method="GET"),), ("web", "a")),
        ((Match(path=Pattern(regex="/x.*"), method="GET"),), ("web", "a", "b")),
        ((Match(),), ("web",)),
    ]


def test_who_may_do_the_rest_is_never_everybody() -> None:
    """Where all callers are limited, the last route stays without a policy: its Server refuses what is left."""
    limited = node(callers=("a",), operations={"a": (("GET", ""),)})
    documents = linkerd.render(limited, place=PLACE)
    targets = [d["spec"]["targetRef"]["name"] for d in documents if d["kind"] == "AuthorizationPolicy"]
    assert targets == ["orders-operations-1"]
    assert "orders-all" in [d["metadata"]["name"] for d in documents if d["kind"] == "HTTPRoute"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "0s"),
        (0.0, "0s"),
        (2.0, "2s"),
        (0.25, "250ms"),
        (1.5, "1500ms"),
        (120.5, "120s500ms"),
        (86400.0, "86400s"),
        (604800.0, "168h"),
    ],
)
def test_durations_are_what_the_gateway_api_reads(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_an_ingress_with_an_identity_is_allowed_by_it() -> None:
    place = Place("shop", ingress="edge/gateway")
    documents = linkerd.render(node(public="/"), place=place)
    (named,) = [one["spec"]["identities"] for one in documents if one["kind"] == "MeshTLSAuthentication"]
    assert named[0] == "gateway.edge.serviceaccount.identity.linkerd.cluster.local"
    assert "NetworkAuthentication" not in {one["kind"] for one in documents}
