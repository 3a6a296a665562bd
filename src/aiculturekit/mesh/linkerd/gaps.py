"""What Linkerd cannot say, feature by feature. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh import uses
from aiculturekit.mesh.gateway_api import matches, precedence
from aiculturekit.mesh.gateway_api.gaps import CARRIED, Answer, Answers, collisions, orders, redirect, unsaid
from aiculturekit.mesh.linkerd import notes, permissions, routes
from aiculturekit.mesh.nodes import INGRESS, Egress, Node, Service
from aiculturekit.mesh.rendering import Gap
from aiculturekit.mesh.rules import Limit, Retries


def gaps(node: Node) -> tuple[Gap, ...]:
    http = [service for service in node.services if service.protocol != "tcp"]
    return (
        *unsaid(uses.of(node), _ANSWERS),
        *collisions(node),
        *(gap for service in http for gap in orders(service, within=("/",))),
        *(gap for service in http for gap in _ties(service)),
        *(gap for egress in node.egresses for gap in _shared(node, egress)),
    )


def _ties(service: Service) -> Iterator[Gap]:
    """Between two routes the older one wins a tie, which no file can say."""
    found = {
        precedence.place(one): precedence.place(other)
        for group, later in combinations(routes.groups(service), 2)
        for one in group
        for other in later
        if precedence.is_tie(one.match, other.match)
    }
    for key, other_key in found.items():
        reason = say(
            "some requests fit {one} and {other} equally well, and routes with other timeouts or retries have no order",
            one=key,
            other=other_key,
        )
        yield Gap(service.app, service.name, key, reason)


def _shared(node: Node, egress: Egress) -> Iterator[Gap]:
    others = sorted(uses.workloads(node, egress.app) - uses.needed_by(node, egress))
    if others:
        reason = say(
            "Linkerd allows an address outside to a whole namespace; {others} would have {need} too",
            others=", ".join(others),
            need=egress.need,
        )
        yield Gap(egress.app, egress.caller, "needs", reason)


def _never(reason: Callable[[], str]) -> Callable[[Any], Answer]:
    return lambda value: reason()


_other_root = _never(lambda: say("trust in the roots of another mesh is the cluster's part, not an object's"))
_absent = _never(lambda: say("Linkerd has no word for it"))
_refused = _never(lambda: say("Linkerd's policy controller refuses this filter"))
_ewma = _never(lambda: say("Linkerd always chooses by how fast replicas answer (EWMA)"))
_by_server = _never(lambda: say("Linkerd counts for all requests to a service alike; say it in `traffic`"))


def _retried_on(retries: Retries) -> Answer:
    unknown = [word for word in notes.words(retries) if not notes.is_known(word)]
    known = ", ".join(notes.CONDITIONS)
    return say("it cannot try again on {word}; it knows {known}", word=unknown[0], known=known) if unknown else None


def _per_try(retries: Retries) -> Answer:
    if notes.of_retries(retries):
        return None
    return say("without a status to try again on, nothing bounds a single try; say on: 5xx or gateway-error")


def _limit(value: tuple[tuple[Limit, ...], Limit]) -> Answer:
    limits, limit = value
    if limit.per != 1:
        return say("it counts by the second; say it as N/s")
    if sum(other.by == limit.by for other in limits) > 1:
        return say("it has one limit for all, and one for each caller")
    return None


def _operations(value: tuple[Service, Any]) -> Answer:
    service, listed = value
    if service.protocol == "tcp":
        return say("a tcp service has no methods and paths")
    if INGRESS in service.callers:
        return say(
            "{service} is public, so open to every address: callers can't be held to a part", service=service.name
        )
    for method, path in listed:
        exact = path if not path.endswith("*") else ""
        if unfit := matches.problem_with_method(method or "GET") or (
            matches.problem_with_path(exact) if exact else None
        ):
            return unfit
    if not permissions.is_clear(service):
        return say("operations of different callers overlap; give them the same paths, or paths apart")
    return None


def _outside(egress: Egress) -> Answer:
    if egress.scheme == "tcp":
        return say("tcp says no name on the wire: the port would be open to every address")
    return None


_ANSWERS: Answers = {
    **CARRIED,
    "needs operations": _operations,
    "needs external": _outside,
    "needs mesh": _other_root,
    "traffic.retries.on": _retried_on,
    "traffic.retries.per_try": _per_try,
    "traffic.retries.budget": _absent,
    "traffic.breaker.errors": _never(lambda: say("Linkerd counts failures in a row, not shares; say `consecutive`")),
    "traffic.breaker.max_requests": _absent,
    "traffic.breaker.max_connections": _absent,
    "traffic.limit": _limit,
    "traffic.limit by caller": _limit,
    "traffic.limit by client": _absent,
    "traffic.limit by header": _absent,
    "traffic.routes.limit": _by_server,
    "traffic.balance round-robin": _ewma,
    "traffic.balance random": _ewma,
    "traffic.balance hash header": _ewma,
    "traffic.balance hash cookie": _ewma,
    "traffic.balance hash query": _ewma,
    "traffic.balance hash client": _ewma,
    "traffic.zones": _never(
        lambda: say("Linkerd follows the cluster's own topology hints, and knows no order of places")
    ),
    "traffic.sticky": _ewma,
    "traffic.mirror": _refused,
    "traffic.fault delay": _absent,
    "traffic.fault abort": _absent,
    "traffic.fault tcp": _absent,
    "traffic.cors": _absent,
    "traffic.compress": _absent,
    "traffic.max_body": _absent,
    "traffic.routes.redirect": redirect,
    "traffic.routes.rewrite path": _refused,
    "traffic.routes.rewrite host": _refused,
    "access.jwt": _absent,
    "access.foreign": _other_root,
    "access.check": _absent,
}
