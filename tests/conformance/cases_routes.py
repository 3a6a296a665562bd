"""Which requests go where: weights, matches, routes in their order, public paths."""

from __future__ import annotations

from collections import Counter

from tests.conformance.cases import case
from tests.conformance.stages import Stage


async def to(stage: Stage, expected: str, *paths: str, **options: str) -> None:
    for path in paths:
        answer = await stage.ask(path, **options)
        assert answer.version == expected, (path, options, answer)


@case("versions.weight", api="versions: {v1: {weight: 80}, v2: {weight: 20}}")
async def weights_split_by_share(stage: Stage) -> None:
    for source in ("web", "ingress"):
        seen = await stage.versions(200, source=source)
        assert seen.total() == seen["v1"] + seen["v2"] == 200, seen
        assert 15 <= seen["v2"] <= 70, seen


@case("versions.weight", api="versions: {v1: {weight: 99.5}, v2: {weight: 0.5}}")
async def a_weight_may_be_a_fraction(stage: Stage) -> None:
    seen = await stage.versions(100)
    assert seen["v1"] >= 94, seen


@case("versions.weight", api="versions: {v1: {weight: 0}, v2: {weight: 100}}")
async def no_weight_is_no_request(stage: Stage) -> None:
    assert await stage.versions(20) == Counter(v2=20)


@case("versions.match", api="versions: {v1: {}, v2: {weight: 0, match: {header: {x-user: eva}}}}")
async def a_version_claims_requests_by_header(stage: Stage) -> None:
    for source in ("web", "ingress"):
        await to(stage, "v2", "/", source=source, x_user="eva")
        await to(stage, "v1", "/", source=source, x_user="eve")
        await to(stage, "v1", "/", source=source)


@case("versions.match", "versions.weight", api="versions: {v1: {}, v2: {weight: 50, match: {path: /beta}}}")
async def what_no_version_claims_is_split(stage: Stage) -> None:
    assert await stage.versions(20, "/beta/x") == Counter(v2=20)
    assert set(await stage.versions(40, "/")) == {"v1", "v2"}


def routed(match: str) -> str:
    return f"traffic: {{routes: [{{match: {match}, version: v2}}]}}"


@case("match.path.prefix", "traffic.routes.version", api=routed("{path: /beta}"))
async def a_path_prefix_means_whole_segments(stage: Stage) -> None:
    await to(stage, "v2", "/beta", "/beta/", "/beta/x?y=1", "/beta?x=1")
    await to(stage, "v1", "/betas", "/", "/x/beta", "/bet")
    await to(stage, "v2", "/beta/x", source="ingress")


@case("match.path.exact", api=routed("{path: {exact: /one}}"))
async def an_exact_path(stage: Stage) -> None:
    await to(stage, "v2", "/one", "/one?x=1")
    await to(stage, "v1", "/one/", "/one/x", "/on", "/ones")


@case("match.path.regex", api=routed("{path: {regex: '/item/[0-9]+'}}"))
async def a_path_by_regular_expression_is_for_the_whole(stage: Stage) -> None:
    await to(stage, "v2", "/item/17", "/item/1?x")
    await to(stage, "v1", "/item/", "/item/17x", "/a/item/17", "/item/17/x")


@case("match.method", api=routed("{method: POST}"))
async def a_method(stage: Stage) -> None:
    await to(stage, "v2", "/", method="POST")
    await to(stage, "v1", "/", method="GET")
    await to(stage, "v1", "/", method="PUT")


@case("match.header.exact", api=routed("{header: {X-Kind: blue}}"))
async def a_header_exactly(stage: Stage) -> None:
    await to(stage, "v2", "/", x_kind="blue")
    await to(stage, "v1", "/", x_kind="Blue")
    await to(stage, "v1", "/", x_kind="bluer")


@case("match.header.prefix", api=routed("{header: {x-kind: {prefix: bl}}}"))
async def a_header_by_prefix(stage: Stage) -> None:
    await to(stage, "v2", "/", x_kind="blue")
    await to(stage, "v1", "/", x_kind="a bl")
    await to(stage, "v1", "/")


@case("match.header.regex", api=routed("{header: {x-kind: {regex: 'b[aeiou]+'}}}"))
async def a_header_by_regular_expression(stage: Stage) -> None:
    await to(stage, "v2", "/", x_kind="bau")
    await to(stage, "v1", "/", x_kind="baum")


@case("match.header.present", api=routed("{header: {x-kind: {present: true}}}"))
async def a_header_that_is_there(stage: Stage) -> None:
    await to(stage, "v2", "/", x_kind="anything")
    await to(stage, "v1", "/", x_other="anything")


@case("match.cookie.exact", api=routed("{cookie: {group: b}}"))
async def a_cookie_exactly(stage: Stage) -> None:
    await to(stage, "v2", "/", cookie="group=b")
    await to(stage, "v2", "/", cookie="a=1; group=b; z=2")
    await to(stage, "v1", "/", cookie="a=1; group=bb")
    await to(stage, "v1", "/", cookie="mygroup=b")
    await to(stage, "v1", "/")


@case("match.cookie.prefix", api=routed("{cookie: {group: {prefix: b}}}"))
async def a_cookie_by_prefix(stage: Stage) -> None:
    await to(stage, "v2", "/", cookie="x=1; group=beta")
    await to(stage, "v1", "/", cookie="x=b; group=alpha")


@case("match.cookie.regex", api=routed("{cookie: {group: {regex: 'b|c'}}}"))
async def a_cookie_by_regular_expression(stage: Stage) -> None:
    await to(stage, "v2", "/", cookie="group=c")
    await to(stage, "v1", "/", cookie="group=cc")


@case("match.cookie.present", api=routed("{cookie: {group: {present: true}}}"))
async def a_cookie_that_is_there(stage: Stage) -> None:
    await to(stage, "v2", "/", cookie="x=1; group=anything")
    await to(stage, "v1", "/", cookie="x=group")


@case("match.cookie.exact", api=routed("{cookie: {one: a, two: b}}"))
async def two_cookies_in_any_order(stage: Stage) -> None:
    await to(stage, "v2", "/", cookie="one=a; two=b")
    await to(stage, "v2", "/", cookie="two=b; x=1; one=a")
    await to(stage, "v1", "/", cookie="one=a; two=c")
    await to(stage, "v1", "/", cookie="one=a")


@case("match.query.exact", api=routed("{query: {beta: '1'}}"))
async def a_query_parameter_exactly(stage: Stage) -> None:
    await to(stage, "v2", "/?beta=1", "/x?a=b&beta=1")
    await to(stage, "v1", "/?beta=2", "/?alphabeta=1", "/")


@case("match.query.prefix", api=routed("{query: {beta: {prefix: '1'}}}"))
async def a_query_parameter_by_prefix(stage: Stage) -> None:
    await to(stage, "v2", "/?beta=12")
    await to(stage, "v1", "/?beta=21")


@case("match.query.regex", api=routed("{query: {beta: {regex: '[0-9]+'}}}"))
async def a_query_parameter_by_regular_expression(stage: Stage) -> None:
    await to(stage, "v2", "/?beta=12")
    await to(stage, "v1", "/?beta=12a")


@case("match.query.present", api=routed("{query: {beta: {present: true}}}"))
async def a_query_parameter_that_is_there(stage: Stage) -> None:
    await to(stage, "v2", "/?beta=x", "/?beta=")
    await to(stage, "v1", "/?gamma=x")


@case(
    "match.path.prefix", "match.method", "match.header.exact", api=routed("{path: /a, method: POST, header: {x-k: v}}")
)
async def all_of_a_match_must_hold(stage: Stage) -> None:
    await to(stage, "v2", "/a/b", method="POST", x_k="v")
    await to(stage, "v1", "/a/b", method="GET", x_k="v")
    await to(stage, "v1", "/b", method="POST", x_k="v")
    await to(stage, "v1", "/a", method="POST")


_ORDER = """
traffic:
  routes:
  - {match: {path: /a/b}, version: v1}
  - {match: {path: /a}, version: v2}
  - {match: {path: /a/c}, version: v1}
"""


@case("traffic.routes.match", "traffic.routes.version", api=_ORDER)
async def the_first_route_that_fits_counts(stage: Stage) -> None:
    for source in ("web", "ingress"):
        await to(stage, "v1", "/a/b/x", source=source)
        await to(stage, "v2", "/a", "/a/c", "/a/x", source=source)
        await to(stage, "v1", "/", source=source)


_BOTH = """
versions: {v1: {}, v2: {weight: 0, match: {header: {x-user: eva}}}}
traffic: {routes: [{match: {path: /slow}, timeout: 30s}]}
"""


@case("versions.match", "traffic.routes.match", api=_BOTH)
async def a_version_claims_requests_within_a_route_too(stage: Stage) -> None:
    await to(stage, "v2", "/slow", "/", x_user="eva")
    await to(stage, "v1", "/slow", "/")


@case("public", api="public: [/api, /shop]")
async def public_paths_and_no_others(stage: Stage) -> None:
    for path in ("/api", "/api/", "/api/x?y=1", "/shop/x"):
        answer = await stage.ask(path, source="ingress")
        assert (answer.status, answer.json["path"]) == (200, path), answer
    for path in ("/", "/apis", "/sho"):
        assert (await stage.ask(path, source="ingress")).status == 404, path
    assert (await stage.ask("/inner")).status == 200, "inside the mesh every path is there"


_WITHIN = """
public: /api
traffic: {routes: [{match: {path: /api/beta}, version: v2}, {match: {header: {x-user: eva}}, version: v2}]}
"""


@case("public", "traffic.routes.match", api=_WITHIN)
async def routes_hold_within_a_public_path(stage: Stage) -> None:
    await to(stage, "v2", "/api/beta", "/api/beta/x", source="ingress")
    await to(stage, "v1", "/api", "/api/betas", source="ingress")
    await to(stage, "v2", "/api", source="ingress", x_user="eva")
    assert (await stage.ask("/beta", source="ingress", x_user="eva")).status == 404
    await to(stage, "v2", "/elsewhere", x_user="eva")
