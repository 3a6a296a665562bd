"""Every rule that a node states, as one flat list: what a renderer is asked about, and what the support matrix has a row for. Pure.

What is as it is by default states nothing: a mesh behaves so by itself (the timeout is the exception, since no mesh has one).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aiculturekit.mesh.nodes import INGRESS, Egress, Node, Service
from aiculturekit.mesh.rules import UNSENT, Balance, Breaker, Fault, Headers, Limit, Match, Mirror, Retries, Route

_DEFAULT_RETRIES = Retries(attempts=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """`feature` is the matrix's name for it; `key` its path within the service's part of the application file; `value` what is asked for.
    What concerns a need stands at the workload that needs."""

    app: str
    service: str
    key: str
    feature: str
    value: Any = None


def of(node: Node) -> Iterator[Use]:
    for service in node.services:
        for key, feature, value in _of_service(service):
            yield Use(service.app, service.name, key, feature, value)
        for name, operations in service.operations.items():
            yield Use(service.app, name, "needs", "needs operations", (service, operations))
    for egress in node.egresses:
        yield Use(egress.app, egress.caller, "needs", "needs external", egress)
    for caller in node.callers:
        for remote in caller.remotes:
            yield Use(caller.app, caller.name, "needs", "needs mesh", remote)
    for entry in node.entries:
        yield Use(entry.app, entry.service, "public", "public", entry.prefix)


Found = Iterator[tuple[str, str, Any]]
"""(key, feature, value)."""


def _of_service(service: Service) -> Found:
    traffic = service.traffic
    if any(caller != INGRESS for caller in service.callers):
        yield "needs", "needs", service.callers
    if service.protocol != "http":
        yield "protocol", f"protocol {service.protocol}", service.protocol
    if len(service.versions) > 1:
        yield "versions", "versions.weight", {version.name: version.weight for version in service.versions}
    for version in service.versions:
        if version.match:
            yield f"versions.{version.name}.match", "versions.match", version.match
            yield from _of_match(f"versions.{version.name}.match", version.match)
    if service.protocol != "tcp":
        yield "traffic.timeout", "traffic.timeout", traffic.timeout
    if traffic.retries != _DEFAULT_RETRIES:
        yield from _of_retries("traffic", traffic.retries)
    yield from _of_breaker(traffic.breaker)
    yield from _of_limits("traffic", traffic.limit)
    yield from _of_balance(traffic.balance)
    if traffic.zones:
        yield "traffic.zones", "traffic.zones", traffic.zones
    if traffic.sticky:
        yield "traffic.sticky", "traffic.sticky", traffic.sticky
    yield from _of_mirror("traffic", traffic.mirror)
    if service.protocol == "tcp" and traffic.fault:
        yield "traffic.fault", "traffic.fault tcp", traffic.fault
    else:
        yield from _of_fault("traffic", traffic.fault)
    yield from _of_headers("traffic", traffic.headers)
    if traffic.cors:
        yield "traffic.cors", "traffic.cors", traffic.cors
    if traffic.compress:
        yield "traffic.compress", "traffic.compress", True
    if traffic.max_body is not None:
        yield "traffic.max_body", "traffic.max_body", traffic.max_body
    for at, route in enumerate(traffic.routes):
        yield from _of_route(f"traffic.routes.{at}", route)
    yield from _of_access(service)


def _of_access(service: Service) -> Found:
    if service.access.audit:
        yield "access.audit", "access.audit", True
    for at, jwt in enumerate(service.access.jwt):
        yield f"access.jwt.{at}", "access.jwt", jwt
    if service.access.check:
        yield "access.check", "access.check", service.access.check
    if service.access.foreign:
        yield "access.foreign", "access.foreign", service.access.foreign


def _of_route(key: str, route: Route) -> Found:
    yield f"{key}.match", "traffic.routes", route.match
    yield from _of_match(f"{key}.match", route.match)
    if route.redirect:
        yield f"{key}.redirect", "traffic.routes.redirect", route.redirect
    if route.rewrite and route.rewrite.path:
        yield f"{key}.rewrite", "traffic.routes.rewrite path", (route.match, route.rewrite)
    if route.rewrite and route.rewrite.host:
        yield f"{key}.rewrite", "traffic.routes.rewrite host", route.rewrite
    if route.version:
        yield f"{key}.version", "traffic.routes.version", route.version
    if route.timeout is not None:
        yield f"{key}.timeout", "traffic.routes.timeout", route.timeout
    if route.retries:
        yield from _of_retries(key, route.retries)
    yield from _of_limits(key, route.limit)
    yield from _of_mirror(key, route.mirror)
    yield from _of_fault(key, route.fault)
    if route.headers:
        yield from _of_headers(key, route.headers)


def _of_match(key: str, match: Match) -> Found:
    if match.path:
        kind = next(name for name in ("exact", "prefix", "regex", "present") if getattr(match.path, name))
        yield f"{key}.path", f"match.path {kind}", match.path
    if match.method:
        yield f"{key}.method", "match.method", match.method
    parts: Mapping[str, Mapping[str, Any]] = {"header": match.header, "cookie": match.cookie, "query": match.query}
    for part, patterns in parts.items():
        if patterns:
            yield f"{key}.{part}", f"match.{part}", (match, patterns)
    if match.claim:
        yield f"{key}.claim", "match.claim", match.claim


def _level(key: str) -> str:
    """The matrix has rows of its own for what a single route says."""
    return "traffic" if key == "traffic" else "traffic.routes"


def _of_retries(key: str, retries: Retries) -> Found:
    yield f"{key}.retries", f"{_level(key)}.retries", retries
    if retries.on != UNSENT:
        yield f"{key}.retries.on", "traffic.retries.on", retries
    if retries.per_try is not None:
        yield f"{key}.retries.per_try", "traffic.retries.per_try", retries
    if retries.budget is not None:
        yield f"{key}.retries.budget", "traffic.retries.budget", retries


def _of_breaker(breaker: Breaker | None) -> Found:
    for name in ("errors", "consecutive", "max_requests", "max_connections") if breaker else ():
        if getattr(breaker, name) is not None:
            yield f"traffic.breaker.{name}", f"traffic.breaker.{name}", breaker


def _of_limits(key: str, limits: tuple[Limit, ...]) -> Found:
    for at, limit in enumerate(limits):
        by = "" if limit.by == "all" else f" by {limit.by.partition(' ')[0]}"
        if key != "traffic":
            yield f"{key}.limit.{at}", "traffic.routes.limit", (limits, limit)
        yield f"{key}.limit.{at}", f"traffic.limit{by}", (limits, limit)


def _of_balance(balance: Balance) -> Found:
    if balance == Balance():
        return
    hashed = next((name for name in ("header", "cookie", "query", "client") if getattr(balance, name)), "")
    yield "traffic.balance", f"traffic.balance {balance.policy}" + (f" {hashed}" if hashed else ""), balance


def _of_mirror(key: str, mirror: Mirror | None) -> Found:
    if mirror:
        yield f"{key}.mirror", f"{_level(key)}.mirror", mirror
        if mirror.share != 100:
            yield f"{key}.mirror.share", "traffic.mirror.share", mirror


def _of_fault(key: str, fault: Fault | None) -> Found:
    if fault is None:
        return
    if fault.delay is not None:
        yield f"{key}.fault.delay", f"{_level(key)}.fault delay", fault
    if fault.abort is not None:
        yield f"{key}.fault.abort", f"{_level(key)}.fault abort", fault
    if fault.share != 100:
        yield f"{key}.fault.share", "traffic.fault.share", fault
    if fault.callers:
        yield f"{key}.fault.callers", "traffic.fault.callers", fault
    if fault.when:
        yield f"{key}.fault.when", "traffic.fault.when", fault
        yield from _of_match(f"{key}.fault.when", fault.when)


def _of_headers(key: str, headers: Headers) -> Found:
    for way in ("request", "response"):
        edits = getattr(headers, way)
        if edits.set or edits.add or edits.remove:
            yield f"{key}.headers.{way}", f"{_level(key)}.headers {way}", edits


def workloads(node: Node, app: str) -> set[str]:
    """All of an application's workloads."""
    names = {(one.app, one.name) for one in node.services} | {(one.app, one.name) for one in node.callers}
    return {name for owner, name in names if owner == app}


def needed_by(node: Node, egress: Egress) -> set[str]:
    """The workloads that need the same address outside."""
    place = (egress.app, egress.scheme, egress.host, egress.port)
    return {one.caller for one in node.egresses if (one.app, one.scheme, one.host, one.port) == place}
