"""DestinationRule: how a service's replicas are chosen, when one is left out, how much it can take. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.envoy.names import replica_cookie
from aiculturekit.mesh.istio import federation, localities, names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Balance, Traffic

_SIMPLE = {"least-request": "LEAST_REQUEST", "round-robin": "ROUND_ROBIN", "random": "RANDOM"}
_BUDGET_FLOOR = 3
"""Retries that are always allowed, as the application file says of `budget`."""


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        yield names.networking(
            "DestinationRule",
            service.name,
            place,
            host=names.host(service.name, place),
            trafficPolicy=_policy(service),
            subsets=[{"name": version.name, "labels": {"version": version.name}} for version in service.versions]
            + federation.subsets(service, node),
        )


def _policy(service: Service) -> Json:
    """That the peer is asked for its certificate is said, not found out: a pod without a sidecar is not called in plain text."""
    traffic = service.traffic
    found: Json = {
        "tls": {"mode": "ISTIO_MUTUAL"},
        "loadBalancer": _balance(service) | localities.setting(traffic.zones),
        "outlierDetection": ejection(traffic),
    }
    if pool := _pool(service):
        found["connectionPool"] = pool
    budgets = [one.budget for one in (traffic.retries, *(r.retries for r in traffic.routes if r.retries)) if one.budget]
    if budgets:
        found["retryBudget"] = {"percent": min(budgets), "minRetryConcurrency": _BUDGET_FLOOR}
    return found


def _balance(service: Service) -> Json:
    """Sticky is a hash too, of a cookie that is given to whoever has none."""
    sticky, balance = service.traffic.sticky, service.traffic.balance
    if sticky:
        name = replica_cookie(sticky.cookie, app=service.app, service=service.name)
        attributes = [{"name": "HttpOnly"}, {"name": "SameSite", "value": "Lax"}]
        cookie = {"name": name, "path": "/", "ttl": seconds(sticky.lasts), "attributes": attributes}
        return {"consistentHash": {"httpCookie": cookie}}
    return {"consistentHash": _hashed(balance)} if balance.policy == "hash" else {"simple": _SIMPLE[balance.policy]}


def _hashed(balance: Balance) -> Json:
    if balance.header:
        return {"httpHeaderName": balance.header}
    if balance.query:
        return {"httpQueryParameterName": balance.query}
    return {"httpCookie": {"name": balance.cookie}} if balance.cookie else {"useSourceIp": True}


def _pool(service: Service) -> Json:
    """Where each connection carries one request, as many may wait for one as there are; what comes then is refused at once."""
    breaker = service.traffic.breaker
    if breaker is None:
        return {}
    found: Json = {}
    if breaker.max_requests:
        found["http"] = {"http2MaxRequests": breaker.max_requests}
    if breaker.max_connections:
        found["tcp"] = {"maxConnections": breaker.max_connections}
        if service.protocol == "http":
            found["http"] = found.get("http", {}) | {"http1MaxPendingRequests": breaker.max_connections}
    return found


def ejection(traffic: Traffic) -> Json:
    """Without a breaker only a replica that refuses connections is left out, for a second, while another one is there; with places
    all of one, so that the next takes over."""
    breaker = traffic.breaker
    base: Json = {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 3}
    if breaker is None:
        most = 100 if traffic.zones else 50
        short = {"interval": "1s", "baseEjectionTime": "1s", "maxEjectionPercent": most}
        return base | short | {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0}
    window = seconds(max(breaker.over, 0.1))
    return base | {
        "interval": window,
        "baseEjectionTime": window,
        "maxEjectionPercent": 100,
        "consecutive5xxErrors": breaker.consecutive or 0,
        "consecutiveGatewayErrors": 0,
    }
