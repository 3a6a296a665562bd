"""What `routes`, `fault.when` and `versions.match` mean together."""

from __future__ import annotations

import pytest

from aiculturekit.mesh.branches import ALL, Contradiction, both, branches
from aiculturekit.mesh.nodes import Service, Version
from aiculturekit.mesh.rules import Edits, Fault, Headers, Limit, Match, Pattern, Redirect, Route, Traffic


def prefix(path: str) -> Match:
    return Match(path=Pattern(prefix=path))


def header(name: str, value: str) -> Match:
    return Match(header={name: Pattern(exact=value)})


def service(*versions: Version, **traffic: object) -> Service:
    return Service("a", "s", versions or (Version("v1", 1),), traffic=Traffic(**traffic))  # type: ignore[arg-type]


def test_a_plain_service_has_one_branch() -> None:
    (only,) = branches(service())
    assert (only.name, only.match, only.shares, only.timeout) == ("rest", ALL, (("v1", 100.0),), 15.0)


def test_a_match_comes_before_the_split_and_a_version_without_weight_is_not_in_it() -> None:
    made = service(Version("v1", 1, 90), Version("v2", 2, 10, header("x", "1")), Version("v3", 3, 0))
    assert [(b.name, b.shares) for b in branches(made)] == [
        ("rest-v2", (("v2", 100.0),)),
        ("rest", (("v1", 90.0), ("v2", 10.0))),
    ]


def test_routes_come_first_and_have_from_traffic_what_they_leave_out() -> None:
    routes = (
        Route(prefix("/old"), redirect=Redirect("/new")),
        Route(prefix("/slow"), timeout=60.0, limit=(Limit(1),), headers=Headers(Edits(set={"b": "2"}))),
        Route(prefix("/two"), version="v2"),
    )
    common = Headers(Edits(set={"a": "1"}))
    made = service(
        Version("v1", 1, 100), Version("v2", 2, 0, header("x", "1")), routes=routes, headers=common, limit=(Limit(9),)
    )
    found = {branch.name: branch for branch in branches(made)}
    assert list(found) == ["route-1", "route-2-v2", "route-2", "route-3", "rest-v2", "rest"]
    assert (found["route-1"].shares, found["route-1"].redirect) == ((), Redirect("/new"))
    assert (found["route-2"].timeout, found["route-2"].limit) == (60.0, (Limit(1),))
    assert found["route-2-v2"].match == Match(path=Pattern(prefix="/slow"), header={"x": Pattern(exact="1")})
    assert found["route-2"].headers == (common, Headers(Edits(set={"b": "2"})))
    assert found["route-3"].shares == (("v2", 100.0),)
    assert (found["rest"].timeout, found["rest"].limit) == (15.0, (Limit(9),))


def test_a_fault_for_some_requests_is_a_branch_before_the_others() -> None:
    fault = Fault(abort=503, when=header("x-fault", "1"))
    one, two = branches(service(fault=fault))
    assert (one.name, one.match, one.fault) == ("rest-fault", header("x-fault", "1"), Fault(abort=503))
    assert (two.name, two.match, two.fault) == ("rest", ALL, None)


def test_within_a_public_path_only_what_fits_is_left_and_the_narrower_path_holds() -> None:
    made = service(routes=(Route(prefix("/api/v1"), timeout=1.0), Route(prefix("/other")), Route(prefix("/"))))
    found = {branch.name: branch.match.path for branch in branches(made, within="/api")}
    assert found == {
        "route-1": Pattern(prefix="/api/v1"),
        "route-3": Pattern(prefix="/api"),
        "rest": Pattern(prefix="/api"),
    }


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        (Match(method="GET"), Match(method="POST"), None),
        (prefix("/a"), prefix("/ab"), None),
        (prefix("/a"), Match(path=Pattern(exact="/a/b")), Match(path=Pattern(exact="/a/b"))),
        (Match(path=Pattern(exact="/a")), Match(path=Pattern(exact="/b")), None),
        (Match(path=Pattern(regex="/a.*")), Match(path=Pattern(exact="/ab")), Match(path=Pattern(exact="/ab"))),
        (header("x", "1"), header("x", "2"), None),
        (header("x", "1"), Match(header={"x": Pattern(present=True)}), header("x", "1")),
        (header("x", "abc"), Match(header={"x": Pattern(prefix="ab")}), header("x", "abc")),
        (header("x", "abc"), Match(header={"x": Pattern(regex="[a-b]+")}), None),
        (Match(claim={"r": "a"}), Match(claim={"r": "b"}), None),
    ],
)
def test_two_matches_are_one_or_none(one: Match, other: Match, result: Match | None) -> None:
    assert both(one, other) == result
    assert both(other, one) == result


def test_a_regular_expression_beside_another_path_is_a_contradiction() -> None:
    with pytest.raises(Contradiction):
        both(Match(path=Pattern(regex="/.*")), prefix("/b"))


def test_how_a_regular_expression_begins_tells_where_it_lies() -> None:
    one = Match(path=Pattern(regex="/api/orders/[0-9]+"))
    assert both(one, prefix("/api")) == one
    assert both(one, prefix("/other")) is None
    for unclear in ("/api*/x", "/api|/b", "(/api/x)?"):
        with pytest.raises(Contradiction):
            both(Match(path=Pattern(regex=unclear)), prefix("/api/y"))
