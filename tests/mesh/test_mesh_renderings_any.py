"""Whatever the rules are: what has no gap is rendered to documents that the definitions allow, always the same, each once."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aiculturekit.mesh import gateway_api, linkerd
from aiculturekit.mesh.branches import Contradiction, branches
from aiculturekit.mesh.features import node
from aiculturekit.mesh.nodes import Node, Version
from aiculturekit.mesh.rules import Edits, Headers, Match, Mirror, Pattern, Redirect, Retries, Rewrite, Route, Traffic
from tests.mesh.test_mesh_renderings import CORE, PLACE, definitions_of, key
from tests.servers import crds

pytestmark = pytest.mark.skipif(bool(crds.missing()), reason=crds.missing())

paths = st.sampled_from(["/", "/a", "/a/b", "/c-d", "/e%20f", "/ä", "/x//y"])
texts = st.sampled_from(["1", "true", "a.b", "x|y", "ä", "a b"])
path_patterns = st.one_of(
    st.builds(lambda text: Pattern(prefix=text), paths),
    st.builds(lambda text: Pattern(exact=text), paths),
    st.just(Pattern(regex="/a/[0-9]+")),
)
patterns = st.one_of(
    st.builds(lambda text: Pattern(exact=text), texts),
    st.builds(lambda text: Pattern(prefix=text), texts),
    st.just(Pattern(present=True)),
)
names = st.sampled_from(["x-a", "X-B", "user_id", "q[]"])
matches = st.builds(
    Match,
    path=st.none() | path_patterns,
    method=st.none() | st.sampled_from(["GET", "POST", "PURGE"]),
    header=st.dictionaries(st.sampled_from(["x-a", "X-B", "cookie"]), patterns, max_size=2),
    cookie=st.dictionaries(st.sampled_from(["a", "b"]), patterns, max_size=2),
    query=st.dictionaries(names, patterns, max_size=2),
)
edits = st.builds(
    Edits,
    set=st.dictionaries(st.sampled_from(["x-a", "X-A", "x-b"]), texts, max_size=2),
    remove=st.lists(st.sampled_from(["x-c", "x-d"]), max_size=1).map(tuple),
)
routes = st.builds(
    Route,
    matches,
    redirect=st.none()
    | st.sampled_from([Redirect("/new"), Redirect("https://x.example:8443", 301), Redirect("/?a=1")]),
    rewrite=st.none() | st.builds(Rewrite, path=st.none() | paths, host=st.none() | st.sampled_from(["x", "y:80"])),
    version=st.none() | st.sampled_from(["v1", "v2"]),
    timeout=st.none() | st.floats(0.001, 1e6, allow_nan=False),
    retries=st.none() | st.builds(Retries, st.integers(0, 3), st.sampled_from(["5xx", "reset", "gateway-error"])),
    mirror=st.none() | st.builds(Mirror, st.just("v2"), st.floats(0, 100)),
    headers=st.none() | st.builds(Headers, edits, edits),
)
nodes = st.builds(
    node,
    versions=st.builds(
        lambda share, match: (Version("v1", 1, 100 - share), Version("v2", 2, share, match)),
        st.floats(0, 100),
        st.none() | matches,
    ),
    public=st.sampled_from(["", "/", "/a", "/shop"]),
    traffic=st.builds(Traffic, timeout=st.none() | st.floats(0, 1e5), routes=st.lists(routes, max_size=3).map(tuple)),
)


def is_possible(given_node: Node) -> bool:
    """What the application file's own checks refuse is none of a renderer's business."""
    (service,) = given_node.services
    try:
        return all(
            branches(service, within=prefix) for prefix in ("/", *(entry.prefix for entry in given_node.entries))
        )
    except Contradiction:
        return False


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes)
def test_what_has_no_gap_is_allowed(given_node: Node) -> None:
    assume(is_possible(given_node))
    for mesh, renderer in {"linkerd": linkerd.RENDERER, "gateway-api": gateway_api.RENDERER}.items():
        if renderer.gaps(given_node):
            continue
        documents = renderer.render(given_node, place=PLACE)
        assert documents == renderer.render(given_node, place=PLACE)
        assert len({key(one) for one in documents}) == len(documents)
        for one in documents:
            if one["apiVersion"] not in CORE:
                assert crds.mistakes(one, definitions_of(mesh)) == [], one
