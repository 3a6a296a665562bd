"""The vocabulary's features, each with the smallest node that uses it. The support matrix is what the renderers answer about them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh import uses
from aiculturekit.mesh.nodes import INGRESS, Caller, Egress, Entry, Gateway, Neighbour, Node, Remote, Service, Version
from aiculturekit.mesh.rendering import Gap, Place, Renderer
from aiculturekit.mesh.rules import (
    Access,
    Balance,
    Breaker,
    Check,
    Cors,
    Edits,
    Fault,
    Headers,
    Jwt,
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

APP, SERVICE, CALLER = "shop", "orders", "web"
_ONE = (Version("v1", 9001),)
_TWO = (Version("v1", 9001, 90), Version("v2", 9002, 10))
_JWT = Jwt(issuer="https://login.example", jwks='{"keys": []}')
_BUNDLE = "https://other.example/bundle"
_BETA = Match(header={"x-beta": Pattern(exact="true")})


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """`name` is as in `uses`, so that what a node states and what the matrix shows have the same names."""

    name: str
    node: Node


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """`reason` says why not."""

    mesh: str
    feature: str
    reason: str = ""

    @property
    def is_supported(self) -> bool:
        return not self.reason


def cells(renderers: Mapping[str, Renderer]) -> list[list[Cell]]:
    """A row for each feature, a cell for each mesh."""
    left_out = {mesh: silent(renderer) for mesh, renderer in renderers.items()}
    return [
        [_cell(mesh, feature, _all(renderer, feature.node, left_out[mesh])) for mesh, renderer in renderers.items()]
        for feature in FEATURES
    ]


def _cell(mesh: str, feature: Feature, found: list[Gap]) -> Cell:
    return Cell(mesh, feature.name, found[0].reason if found else "")


def not_said() -> str:
    return say("nothing is rendered for it yet")


def silent(renderer: Renderer) -> frozenset[str]:
    """The features that a renderer has no gap for, and says nothing about either: with and without them the documents are the same."""
    place = Place(APP)
    return frozenset(
        feature.name
        for feature in FEATURES
        if feature.name not in {*_ALWAYS, *renderer.unsaid}
        and not renderer.gaps(feature.node)
        and renderer.render(feature.node, place=place) == renderer.render(_without(feature.node), place=place)
    )


def gaps(renderer: Renderer, given: Node) -> list[Gap]:
    """All that would be lost: what the renderer names, and what it says nothing about. One for each key: the first reason is enough."""
    found = _all(renderer, given, silent(renderer))
    return list({(gap.app, gap.service, gap.key): gap for gap in reversed(found)}.values())[::-1]


def _all(renderer: Renderer, given: Node, left_out: frozenset[str]) -> list[Gap]:
    forgotten = (use for use in uses.of(given) if use.feature in left_out)
    return [*renderer.gaps(given), *(Gap(use.app, use.service, use.key, not_said()) for use in forgotten)]


_ALWAYS = ("needs", "public", "versions.weight")
"""What no node is without."""


def _without(given: Node) -> Node:
    """The node as it were if it stated nothing but who calls whom, and how many versions there are."""
    plain = tuple(
        dataclasses.replace(
            service,
            traffic=Traffic(),
            access=Access(),
            operations={},
            protocol="http",
            versions=tuple(dataclasses.replace(version, match=None) for version in service.versions),
        )
        for service in given.services
    )
    callers = tuple(dataclasses.replace(caller, remotes={}) for caller in given.callers)
    return dataclasses.replace(given, services=plain, callers=callers, egresses=())


def node(
    *,
    versions: tuple[Version, ...] = _ONE,
    callers: tuple[str, ...] = (CALLER,),
    public: str = "",
    egress: Egress | None = None,
    **fields: Any,
) -> Node:
    """One service and who calls it; `fields` are the service's."""
    all_callers = (INGRESS, *callers) if public else callers
    return Node(
        ingress_port=8080,
        services=(Service(APP, SERVICE, versions, tuple(sorted(all_callers)), **fields),),
        callers=tuple(Caller(APP, name, 9100 + at, {SERVICE: 9200 + at}) for at, name in enumerate(callers)),
        entries=(Entry(APP, public, SERVICE),) if public else (),
        egresses=(egress,) if egress else (),
    )


def _outside() -> Node:
    """On this machine what lies outside is held to the needs of workloads in a network namespace of their own."""
    return Node(
        ingress_port=8080,
        callers=(Caller(APP, CALLER, 9100, namespace="/run/netns/web"),),
        egresses=(Egress(APP, CALLER, "https", "api.example.com", 443),),
    )


def _far() -> Node:
    """A node that shares trust with another, and needs a service of it."""
    far = Remote("other.example", APP, "pay")
    return dataclasses.replace(
        node(),
        callers=(Caller(APP, CALLER, 9100, {SERVICE: 9200}, remotes={far: 9300}),),
        neighbours=(Neighbour("other.example", "192.0.2.1", 15443, _BUNDLE),),
    )


def _entered() -> Node:
    foreign = Access(foreign=("spiffe://other.example/ns/shop/sa/pay",))
    here = Gateway("192.0.2.2", 15443)
    return dataclasses.replace(
        node(access=foreign), neighbours=(Neighbour("other.example", roots=_BUNDLE),), gateway=here
    )


def _traffic(versions: tuple[Version, ...] = _ONE, **rules: Any) -> Node:
    return node(versions=versions, traffic=Traffic(**rules))


def _route(versions: tuple[Version, ...] = _ONE, *, match: Match | None = None, **rules: Any) -> Node:
    path = Match(path=Pattern(prefix="/reports"))
    return _traffic(versions, routes=(Route(match or path, **rules),))


def _to(prefix: str, version: str) -> Route:
    return Route(Match(path=Pattern(prefix=prefix)), version=version)


def _matched(**parts: Any) -> Node:
    return _route(_TWO, match=Match(**parts), version="v2")


def _claimed() -> Node:
    rules = Traffic(routes=(Route(Match(claim={"role": "admin"}), version="v2"),))
    return node(versions=_TWO, public="/", traffic=rules, access=Access(jwt=(_JWT,)))


def _guarded(**rules: Any) -> Node:
    return node(public="/", access=Access(**rules))


def _retried(**rules: Any) -> Node:
    return _traffic(retries=Retries(attempts=2, **rules))


_ROWS: Mapping[str, Node] = {
    "needs": node(),
    "needs operations": node(callers=("reader", CALLER), operations={"reader": (("GET", ""), ("HEAD", ""))}),
    "needs external": _outside(),
    "needs mesh": _far(),
    "public": node(public="/orders"),
    "protocol http2": node(protocol="http2"),
    "protocol tcp": node(protocol="tcp", versions=_TWO),
    "versions.weight": node(versions=_TWO),
    "versions.match": node(versions=(Version("v1", 9001), Version("v2", 9002, 0, _BETA))),
    "match.path exact": _matched(path=Pattern(exact="/health")),
    "match.path prefix": _matched(path=Pattern(prefix="/api")),
    "match.path regex": _matched(path=Pattern(regex="/orders/[0-9]+")),
    "match.method": _matched(method="GET"),
    "match.header": _matched(header={"x-client": Pattern(prefix="ios/")}),
    "match.cookie": _matched(cookie={"group": Pattern(exact="b")}),
    "match.query": _matched(query={"trace": Pattern(present=True)}),
    "match.claim": _claimed(),
    "traffic.timeout": _traffic(timeout=2.0),
    "traffic.retries": _retried(),
    "traffic.retries.on": _retried(on="5xx"),
    "traffic.retries.per_try": _retried(on="5xx", per_try=0.5),
    "traffic.retries.budget": _retried(budget=20.0),
    "traffic.breaker.errors": _traffic(breaker=Breaker(errors=50.0)),
    "traffic.breaker.consecutive": _traffic(breaker=Breaker(consecutive=5)),
    "traffic.breaker.max_requests": _traffic(breaker=Breaker(consecutive=5, max_requests=100)),
    "traffic.breaker.max_connections": _traffic(breaker=Breaker(consecutive=5, max_connections=100)),
    "traffic.limit": _traffic(limit=(Limit(100),)),
    "traffic.limit by caller": _traffic(limit=(Limit(10, by="caller"),)),
    "traffic.limit by client": _traffic(limit=(Limit(10, by="client"),)),
    "traffic.limit by header": _traffic(limit=(Limit(10, by="header x-api-key"),)),
    "traffic.balance round-robin": _traffic(balance=Balance("round-robin")),
    "traffic.balance random": _traffic(balance=Balance("random")),
    "traffic.balance hash header": _traffic(balance=Balance("hash", header="x-user")),
    "traffic.balance hash cookie": _traffic(balance=Balance("hash", cookie="user")),
    "traffic.balance hash query": _traffic(balance=Balance("hash", query="user")),
    "traffic.balance hash client": _traffic(balance=Balance("hash", client=True)),
    "traffic.zones": _traffic(zones=("eu-west/a", "eu-west/b", "us-east")),
    "traffic.sticky": _traffic(_TWO, sticky=Sticky("aic-session")),
    "traffic.mirror": _traffic(_TWO, mirror=Mirror("v2")),
    "traffic.mirror.share": _traffic(_TWO, mirror=Mirror("v2", 12.5)),
    "traffic.fault delay": _traffic(fault=Fault(delay=0.2)),
    "traffic.fault abort": _traffic(fault=Fault(abort=503)),
    "traffic.fault.share": _traffic(fault=Fault(abort=503, share=10.0)),
    "traffic.fault.callers": _traffic(fault=Fault(abort=503, callers=(CALLER,))),
    "traffic.fault tcp": node(protocol="tcp", traffic=Traffic(fault=Fault(abort=True))),
    "traffic.fault.when": _traffic(fault=Fault(abort=503, when=_BETA)),
    "traffic.headers request": _traffic(headers=Headers(request=Edits({"x-a": "1"}, {"x-b": "2"}, ("x-c",)))),
    "traffic.headers response": _traffic(headers=Headers(response=Edits({"x-a": "1"}, {"x-b": "2"}, ("x-c",)))),
    "traffic.cors": _traffic(cors=Cors(("https://shop.example",), ("GET", "POST"), credentials=True)),
    "traffic.compress": _traffic(compress=True),
    "traffic.max_body": _traffic(max_body=1 << 20),
    "traffic.routes": _traffic(_TWO, routes=(_to("/reports/daily", "v2"), _to("/reports", "v1"))),
    "traffic.routes.redirect": _route(redirect=Redirect("https://new.example/reports", 308)),
    "traffic.routes.rewrite path": _route(rewrite=Rewrite(path="/v2/reports")),
    "traffic.routes.rewrite host": _route(rewrite=Rewrite(host="reports.example")),
    "traffic.routes.version": _route(_TWO, version="v2"),
    "traffic.routes.timeout": _route(timeout=60.0),
    "traffic.routes.retries": _route(retries=Retries(attempts=3, on="gateway-error")),
    "traffic.routes.limit": _route(limit=(Limit(5),)),
    "traffic.routes.mirror": _route(_TWO, mirror=Mirror("v2")),
    "traffic.routes.fault delay": _route(fault=Fault(delay=0.2)),
    "traffic.routes.fault abort": _route(fault=Fault(abort=503)),
    "traffic.routes.headers request": _route(headers=Headers(request=Edits({"x-a": "1"}))),
    "traffic.routes.headers response": _route(headers=Headers(response=Edits({"x-a": "1"}))),
    "access.audit": node(access=Access(audit=True)),
    "access.jwt": _guarded(jwt=(_JWT,)),
    "access.foreign": _entered(),
    "access.check": _guarded(check=Check("http://auth.example/check")),
}

FEATURES = tuple(Feature(name, smallest) for name, smallest in _ROWS.items())
