"""What the standard channel of the Gateway API (v1.6) cannot say, feature by feature. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiculturekit.language import say
from aiculturekit.mesh import manifests, uses
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.gateway_api import matches, precedence, routes
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rendering import Gap
from aiculturekit.mesh.rules import Cors, Edits, Match, Redirect, Rewrite
from aiculturekit.mesh.uses import Use

Answer = str | None
Answers = Mapping[str, Callable[[Any], Answer]]
"""feature -> why a value of it can't be said; None where it can. A feature that is not named can."""


def gaps(node: Node) -> tuple[Gap, ...]:
    return (
        *unsaid(uses.of(node), _ANSWERS),
        *collisions(node),
        *(gap for service in node.services for gap in _orders(node, service)),
    )


def unsaid(stated: Iterator[Use], answers: Answers) -> Iterator[Gap]:
    for use in stated:
        reason = answer(use.feature, answers)(use.value)
        if reason:
            yield Gap(use.app, use.service, use.key, reason)


def collisions(node: Node) -> Iterator[Gap]:
    """A version's Service has a name of its own, which may be another service's."""
    names = {service.name for service in node.services}
    for service in node.services:
        for version in service.versions:
            name = manifests.backend(service, version.name)
            if name != service.name and name in names:
                reason = say("its Kubernetes Service would be called {name}, as another service is", name=name)
                yield Gap(service.app, service.name, f"versions.{version.name}", reason)


def answer(feature: str, answers: Answers) -> Callable[[Any], Answer]:
    """What a single route says is as possible as what the service says, unless it has an answer of its own."""
    common = feature.replace("traffic.routes.", "traffic.", 1)
    return answers.get(feature) or answers.get(common) or (lambda value: None)


def _orders(node: Node, service: Service) -> Iterator[Gap]:
    if service.protocol == "tcp":
        return
    prefixes = [e.prefix for e in node.entries if (e.app, e.service) == (service.app, service.name)]
    yield from orders(service, within=("/", *prefixes))


def orders(service: Service, *, within: tuple[str, ...]) -> Iterator[Gap]:
    """Where the order of the application file is not the one that the Gateway API compares in, or a route would grow too long."""
    found: dict[str, Gap] = {}
    for prefix in within:
        listed = branches(service, within=prefix)
        for one, other in precedence.disputes(listed):
            key = precedence.place(one)
            reason = say(
                "for requests that fit {one} and {other} the more specific one wins, not the first: "
                "say the narrower one first, or give both the same path",
                one=key,
                other=precedence.place(other),
            )
            found.setdefault(key, Gap(service.app, service.name, key, reason))
        if len(listed) > routes.RULES:
            reason = say(
                "a route has at most {most} rules; this would be {count}", most=routes.RULES, count=len(listed)
            )
            found.setdefault("traffic.routes", Gap(service.app, service.name, "traffic.routes", reason))
    yield from found.values()


def _never(reason: Callable[[], str]) -> Callable[[Any], Answer]:
    return lambda value: reason()


_experimental = _never(lambda: say("only the experimental channel of the Gateway API has it"))
_other_root = _never(lambda: say("trust in the roots of another mesh is the cluster's part, not an object's"))
_absent = _never(lambda: say("the Gateway API has no word for it"))
_by_pod = _never(lambda: say("network policies know pods and ports, not methods and paths"))


def redirect(to: Redirect) -> Answer:
    parts = urlsplit(to.to)
    if parts.query or parts.fragment:
        return say("a redirect replaces the path alone; leave out what follows ? and #")
    return None


def _rewrite_path(value: tuple[Match, Rewrite]) -> Answer:
    path = value[0].path
    if path and path.regex is not None:
        return say("a path that a regular expression matched can't be rewritten")
    return None


def _rewrite_host(to: Rewrite) -> Answer:
    host = to.host or ""
    return say("a host name without a port is meant here") if ":" in host else None


def _cors(rules: Cors) -> Answer:
    if any("*." in origin for origin in rules.origins):
        return say("* stands for any number of labels there, here for one: name the origins")
    unknown = [method for method in rules.methods if method not in matches.METHODS]
    return matches.problem_with_method(unknown[0]) if unknown else None


def _values(edits: Edits) -> Answer:
    return matches.problem_with_values([*edits.set.values(), *edits.add.values()])


CARRIED: Answers = {
    "traffic.headers request": _values,
    "traffic.headers response": _values,
    "public": matches.problem_with_path,
    "match.path exact": matches.problem_with_path,
    "match.path prefix": matches.problem_with_path,
    "match.method": matches.problem_with_method,
    "match.header": lambda value: matches.problem_with_headers(value[1]),
    "match.query": lambda value: matches.problem_with_query(value[1]),
    "match.cookie": lambda value: matches.problem_with_cookies(*value),
    "match.claim": _absent,
}
"""What an HTTPRoute cannot carry, on every mesh that reads them."""

_ANSWERS: Answers = {
    **CARRIED,
    "needs operations": _by_pod,
    "needs external": _never(lambda: say("there is no rule for what lies outside: every address could be reached")),
    "needs mesh": _other_root,
    "traffic.retries": _experimental,
    "traffic.breaker.errors": _absent,
    "traffic.breaker.consecutive": _absent,
    "traffic.breaker.max_requests": _absent,
    "traffic.breaker.max_connections": _absent,
    "traffic.limit": _absent,
    "traffic.limit by caller": _absent,
    "traffic.limit by client": _absent,
    "traffic.limit by header": _absent,
    "traffic.balance round-robin": _absent,
    "traffic.balance random": _absent,
    "traffic.balance hash header": _absent,
    "traffic.balance hash cookie": _absent,
    "traffic.balance hash query": _absent,
    "traffic.balance hash client": _absent,
    "traffic.zones": _absent,
    "traffic.sticky": _experimental,
    "traffic.fault delay": _absent,
    "traffic.fault abort": _absent,
    "traffic.fault tcp": _absent,
    "traffic.cors": _cors,
    "traffic.compress": _absent,
    "traffic.max_body": _absent,
    "traffic.routes.redirect": redirect,
    "traffic.routes.rewrite path": _rewrite_path,
    "traffic.routes.rewrite host": _rewrite_host,
    "access.audit": _absent,
    "access.jwt": _absent,
    "access.foreign": _other_root,
    "access.check": _experimental,
}
