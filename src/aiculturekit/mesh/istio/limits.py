"""Rate limits, as EnvoyFilters beside the service's replicas: whoever calls, by whatever way, is counted in one place. Pure.

Where a route has limits of its own, the caller's side notes in a header by which route a request came (`names.BRANCH`), and the service's
side counts by it.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.branches import Branch
from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.istio import filters, names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Limit

_LOCAL = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_PLENTY = 1_000_000_000
_VALUES = 10_000
"""Clients, callers or header values that are told apart; the one that came longest ago is forgotten."""
_ALL = "rest"


def mark(service: Service, branch: Branch) -> str | None:
    """What the caller's side notes of a request; None where all requests are counted alike."""
    if not any(route.limit for route in service.traffic.routes):
        return None
    own = [f"route-{at + 1}" for at, route in enumerate(service.traffic.routes) if route.limit]
    return next((name for name in own if branch.name == name or branch.name.startswith(f"{name}-")), _ALL)


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        if patches := [_patch(at, name, limit) for at, (name, limit) in enumerate(_limits(service))]:
            yield filters.at_service(service, "limits", patches, place)


def _limits(service: Service) -> Iterator[tuple[str | None, Limit]]:
    """(mark, limit) of each."""
    routes = service.traffic.routes
    is_marked = any(route.limit for route in routes)
    for at, route in enumerate(routes):
        yield from ((f"route-{at + 1}", limit) for limit in route.limit)
    yield from ((_ALL if is_marked else None, limit) for limit in service.traffic.limit)


def _patch(at: int, name: str | None, limit: Limit) -> Json:
    return filters.http_filter(f"envoy.filters.http.local_ratelimit.{at + 1}", config(name, limit))


def config(name: str | None, limit: Limit) -> Json:
    bucket = _bucket(limit.requests, limit.per)
    actions, entries = _told_apart(name, limit)
    share = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    common = {"stat_prefix": "limit", "filter_enabled": share, "filter_enforced": share}
    if not actions:
        return documents.typed(_LOCAL, token_bucket=bucket, **common)
    return documents.typed(
        _LOCAL,
        token_bucket=_bucket(_PLENTY, limit.per),
        descriptors=[{"entries": entries, "token_bucket": bucket}],
        rate_limits=[{"actions": actions}],
        max_dynamic_descriptors=_VALUES,
        **common,
    )


def _bucket(requests: int, per: float) -> Json:
    return {"max_tokens": requests, "tokens_per_fill": requests, "fill_interval": seconds(per)}


def _told_apart(name: str | None, limit: Limit) -> tuple[list[Json], list[Json]]:
    """What is looked at, and what it is compared with: an entry without a value has a bucket for each."""
    actions: list[Json] = []
    entries: list[Json] = []
    if name:
        actions.append({"request_headers": {"header_name": names.BRANCH, "descriptor_key": "branch"}})
        entries.append({"key": "branch", "value": name})
    if limit.by == "client":
        actions.append({"remote_address": {}})
        entries.append({"key": "remote_address"})
    elif limit.by == "caller":
        actions.append({"extension": _caller()})
        entries.append({"key": "caller"})
    elif limit.by != "all":
        header = limit.by.removeprefix("header ")
        actions.append({"request_headers": {"header_name": header, "descriptor_key": "header"}})
        entries.append({"key": "header"})
    return actions, entries


def _caller() -> Json:
    return documents.extension(
        "rate_limit_descriptors.expr",
        "extensions.rate_limit_descriptors.expr.v3.Descriptor",
        descriptor_key="caller",
        text="connection.uri_san_peer_certificate",
    )
