"""The routes of a version's own side: which replica, how long a body, what an answer looks like on its way out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.envoy import chains, documents, limits, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service, Version
from aiculturekit.mesh.rules import UNSENT, Balance

SAFE: Json = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
_LONGEST = 2**62


def routes(service: Service, version: Version) -> list[Json]:
    """A replica that dies under a request: the next one is tried, where nothing was sent yet or the method is safe (RFC
    9110, 9.2.2)."""
    action = {"cluster": names.inbound(service.app, service.name, version.name), "timeout": "0s"} | _hash(service)
    found = list(_too_long(service.traffic.max_body))
    is_spread = bool(service.traffic.zones)
    for headers, settings in _kinds(service.traffic.max_body):
        found.append(_route([*headers, SAFE], action | _retry(f"{UNSENT},reset", is_spread=is_spread)) | settings)
        found.append(_route(headers, action | _retry(UNSENT, is_spread=is_spread)) | settings)
    return found


def settings(service: Service) -> Json:
    """By filter, what is switched on at all doors of the service."""
    return limits.compiled(service) | _compression(service) | _session(service)


def _route(headers: list[Json], action: Json) -> Json:
    return {"match": {"prefix": "/"} | ({"headers": headers} if headers else {}), "route": action}


def _retry(words: str, *, is_spread: bool) -> Json:
    """Of a service that is spread over places the next try is in the next place: the first one may be gone, all of it."""
    elsewhere = documents.extension(
        "retry_host_predicates.previous_hosts", "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    )
    policy = {
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        "retry_host_predicate": [elsewhere],
        # A dead replica has the fewest requests under way, so it is drawn again and again: three times out of four with two.
        "host_selection_retry_max_attempts": 32,
        "retry_on": words,
        **(_elsewhere() if is_spread else {}),
    }
    return {"retry_policy": policy}


def _elsewhere() -> Json:
    other = documents.extension(
        "retry_priorities.previous_priorities",
        "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        update_frequency=1,
    )
    return {"retry_priority": other}


def _too_long(limit: int | None) -> Iterator[Json]:
    """A body that says its length is refused before a byte of it is read."""
    if limit is None:
        return
    longer = {"name": "content-length", "range_match": {"start": limit + 1, "end": _LONGEST}}
    yield {
        "match": {"prefix": "/", "headers": [longer]},
        "direct_response": {"status": 413},
        **_noted(limit),
    }


def _noted(limit: int) -> Json:
    """Read where the text of the refusal is made, in the listener."""
    return {"metadata": {"filter_metadata": {names.NOTES: {"most": f"{limit} bytes"}}}}


def _kinds(limit: int | None) -> Iterator[tuple[list[Json], Json]]:
    """(headers that tell a kind of request, settings of its routes). With a longest body, only one that does not say its length is
    held until it has come whole; a websocket and a gRPC stream are no bodies in this sense."""
    if limit is not None:
        yield [{"name": "content-length", "present_match": True}], {}
        yield [{"name": "upgrade", "present_match": True}], {}
        yield [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}], {}
    yield [], _held(limit) if limit is not None else {}


def _held(limit: int) -> Json:
    # The filter takes no 0, which would mean no body at all.
    buffer = {"max_request_bytes": max(1, limit)}
    on = documents.typed("extensions.filters.http.buffer.v3.BufferPerRoute", buffer=buffer)
    return {"typed_per_filter_config": {chains.BODY: on}, **_noted(limit)}


def _compression(service: Service) -> Json:
    if not service.traffic.compress:
        return {}
    on = documents.typed(
        "extensions.filters.http.compressor.v3.CompressorPerRoute", overrides={"response_direction_config": {}}
    )
    return {chains.COMPRESS: on}


def _session(service: Service) -> Json:
    """The replica stands in a cookie of its own, which Envoy's own filter writes and reads."""
    sticky = service.traffic.sticky
    if sticky is None:
        return {}
    cookie = {
        "name": names.replica_cookie(sticky.cookie, app=service.app, service=service.name),
        "ttl": documents.seconds(sticky.lasts),
        "path": "/",
    }
    state = {
        "name": "envoy.http.stateful_session.cookie",
        "typed_config": documents.typed(
            "extensions.http.stateful_session.cookie.v3.CookieBasedSessionState", cookie=cookie
        ),
    }
    on = documents.typed(
        "extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute", stateful_session={"session_state": state}
    )
    return {chains.SESSION: on}


def _hash(service: Service) -> Json:
    policy = _hashed(service.traffic.balance)
    return {"hash_policy": [policy]} if policy else {}


def _hashed(balance: Balance) -> Json | None:
    if balance.header:
        return {"header": {"header_name": balance.header.lower()}}
    if balance.cookie:
        return {"cookie": {"name": balance.cookie}}
    if balance.query:
        return {"query_parameter": {"name": balance.query}}
    return {"header": {"header_name": names.CLIENT}} if balance.client else None
