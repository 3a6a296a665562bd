"""Rate limits, kept where the service is called: a token bucket for each version's own side, shared by all its callers. Pure.

The caller's side notes in a header whose limits a request falls under (the branch's `limited_as`), since only there the branch is
known: a rewrite or an edit may have changed what the service's side sees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy import chains, documents, edits, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rules import Limit

KEYS = 4096
"""Buckets kept for the values of one limit (client addresses, header values); the one unused for longest goes first."""
_SHORTEST = 0.05
"""Seconds: Envoy fills no bucket more often."""
_ENDLESS = {"max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": "0.05s"}
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_PEER = "x-forwarded-client-cert"


def compiled(service: Service) -> Json:
    """The settings of the service's doors by filter; empty where it has no limit."""
    settings = rules(service)
    return {chains.LIMIT: settings} if settings else {}


def rules(service: Service, *, peer: str = _PEER) -> Json:
    """The filter's own settings; `peer` is the header that says who calls."""
    if not _all(service):
        return {}
    groups = {branch.limited_as: branch.limit for branch in branches(service) if branch.limit}
    parts = [
        part
        for group, limits in groups.items()
        for at, limit in enumerate(limits)
        for part in _parts(group, f"{group}/{at + 1}", limit, peer=peer)
    ]
    return documents.typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket=_ENDLESS,
        always_consume_default_token_bucket=False,
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limited_as_resource_exhausted=True,
        max_dynamic_descriptors=KEYS,
        descriptors=[descriptor for descriptor, _ in parts],
        rate_limits=[{"actions": actions} for _, actions in parts],
        response_headers_to_add=_told([limit for limits in groups.values() for limit in limits]),
    )


def _parts(group: str, name: str, limit: Limit, *, peer: str) -> Iterator[tuple[Json, list[Json]]]:
    """(bucket, what leads a request to it)."""
    here = {"name": names.LIMIT, "string_match": {"exact": group}}
    header = _header(limit.by, peer=peer)
    if header is None:
        yield _bucket(limit, {"key": "limit", "value": name}), [_match(name, here)]
        return
    by = {"request_headers": {"header_name": header, "descriptor_key": "by"}}
    yield _bucket(limit, {"key": "limit", "value": name}, {"key": "by"}), [_match(name, here), by]
    # Who leaves the header out, or empty, is one more value of it: else that would be the way round the limit.
    nothing = {"name": header, "string_match": {"safe_regex": {"regex": ".+"}}, "invert_match": True}
    empty = f"{name}/none"
    yield (
        _bucket(limit, {"key": "limit", "value": empty}),
        [_match(empty, here, nothing | {"treat_missing_header_as_empty": True})],
    )


def _header(by: str, *, peer: str) -> str | None:
    """The header whose values have a bucket each; None for one bucket for all."""
    kind, _, name = by.partition(" ")
    return {"client": names.CLIENT, "caller": peer, "header": name}.get(kind)


def _match(value: str, *headers: Json) -> Json:
    return {"header_value_match": {"descriptor_key": "limit", "descriptor_value": value, "headers": list(headers)}}


def _bucket(limit: Limit, *entries: Json) -> Json:
    longer = max(1, math.ceil(_SHORTEST / limit.per)) if limit.per < _SHORTEST else 1
    tokens = {
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests * longer,
        "fill_interval": documents.seconds(limit.per * longer),
    }
    return {"entries": list(entries), "token_bucket": tokens}


def _told(limits: list[Limit]) -> list[Json]:
    """How long the slowest bucket takes for its next token, and the limits in the words of the application file."""
    wait = max(math.ceil(limit.per / limit.requests) for limit in limits)
    return [edits.put("retry-after", str(wait)), edits.put(names.LIMIT, ", ".join(dict.fromkeys(map(_words, limits))))]


def _words(limit: Limit) -> str:
    by = "" if limit.by == "all" else f" by {limit.by}"
    return f"{limit.requests} in {limit.per:g}s{by}"


def is_by_client(service: Service) -> bool:
    """Whether the service's side must be told the client's address."""
    return service.traffic.balance.client or any(limit.by == "client" for limit in _all(service))


def _all(service: Service) -> list[Limit]:
    return [*service.traffic.limit, *(limit for route in service.traffic.routes for limit in route.limit)]
