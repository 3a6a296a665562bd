"""How much a cluster takes before it refuses, and which of its replicas gets a request. Pure."""

from __future__ import annotations

from typing import Any

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rules import Balance, Traffic

_MANY = 65536
PLENTY: Json = {
    "max_connections": _MANY,
    "max_pending_requests": _MANY,
    "max_requests": _MANY,
    "max_retries": _MANY,
}
_POLICIES = {
    "least-request": "LEAST_REQUEST",
    "round-robin": "ROUND_ROBIN",
    "random": "RANDOM",
    "hash": "RING_HASH",
}


def hop(traffic: Traffic) -> dict[str, Any]:
    """Of a caller's way to a version. Envoy counts retries for a cluster, not for a route: the smallest budget holds for all."""
    retries = [traffic.retries, *(route.retries for route in traffic.routes if route.retries)]
    budgets = [one.budget for one in retries if one.budget is not None]
    # The other half of a budget is Envoy's own: three retries may always be under way.
    return {"retry_budget": {"budget_percent": {"value": min(budgets)}}} if budgets else {}


def replicas(service: Service) -> dict[str, Any]:
    """Of a version's own replicas. Where connections are limited and each carries one request, as many may wait for one as there
    are; what comes then is refused at once."""
    breaker, found = service.traffic.breaker, dict[str, Any]()
    if breaker and breaker.max_requests is not None:
        found |= {"max_requests": breaker.max_requests, "track_remaining": True}
    if breaker and breaker.max_connections is not None:
        found["max_connections"] = breaker.max_connections
        if service.protocol == "http":
            found["max_pending_requests"] = breaker.max_connections
    return found


def choice(balance: Balance) -> Json:
    return {"lb_policy": _POLICIES[balance.policy]}


def unmarked() -> list[Json]:
    """Filters of a cluster whose replicas are chosen by the client's address: a route takes headers away before that choice, these do
    after it."""
    gone = {"request_mutations": [{"remove": names.CLIENT}]}
    return [
        documents.extension(
            "filters.http.header_mutation", "extensions.filters.http.header_mutation.v3.HeaderMutation", mutations=gone
        ),
        documents.extension("filters.http.upstream_codec", "extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
    ]
