"""EnvoyFilter: what Istio's own resources have no word for. Each patch adds one well-known filter, or a few fields, and looks for nothing
that changes from one Istio to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.istio import names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import INGRESS, Node, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Breaker

_VOLUME = 5
"""Answers within a window below which a breaker does not judge."""
_SMALL = 256
"""Bytes below which compressing makes an answer longer rather than shorter."""
_HTTP = "envoy.filters.network.http_connection_manager"


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        yield from _breaker(service, place)
        if patches := list(_inbound(service)):
            yield at_service(service, "treatment", patches, place, priority=20)


def at_service(service: Service, name: str, patches: Iterable[Json], place: Place, *, priority: int) -> Manifest:
    """For the Envoys beside the service's own replicas; a smaller priority stands earlier on a request's way."""
    selector = {"labels": {"app": service.name}}
    full = f"{service.name}-{name}"
    return names.envoy_filter(
        full, place.namespace, priority=priority, workloadSelector=selector, configPatches=list(patches)
    )


def http_filter(name: str, config: Json, *, context: str = "SIDECAR_INBOUND") -> Json:
    """One more filter before the router, the last to see a request before it is passed on."""
    before = {"filterChain": {"filter": {"name": _HTTP, "subFilter": {"name": "envoy.filters.http.router"}}}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": context, "listener": before},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": name, "typed_config": config}},
    }


def _breaker(service: Service, place: Place) -> Iterator[Manifest]:
    """The share of failed answers, at each caller: in the application's namespace, and at the ingress, which is in its own."""
    breaker = service.traffic.breaker
    if breaker is None:
        return
    host = names.host(service.name, place)
    full = f"{service.name}-breaker"
    patches = [_cluster(context, host, breaker) for context in ("SIDECAR_OUTBOUND", "GATEWAY")]
    yield names.envoy_filter(full, place.namespace, configPatches=patches[:1])
    if INGRESS in service.callers:
        selector = {"labels": dict(place.gateway_labels)}
        away = f"{place.namespace}-{full}"
        yield names.envoy_filter(
            away, names.gateway_namespace(place), workloadSelector=selector, configPatches=patches[1:]
        )


def _cluster(context: str, host: str, breaker: Breaker) -> Json:
    """How long it is left out grows with each time, at most sixfold."""
    detection: Json = {"max_ejection_time": seconds(max(breaker.over, 0.1) * 6)}
    if breaker.errors is not None:
        detection |= {
            "failure_percentage_threshold": round(breaker.errors),
            "failure_percentage_minimum_hosts": 1,
            "failure_percentage_request_volume": _VOLUME,
            "enforcing_failure_percentage": 100,
            "enforcing_failure_percentage_local_origin": 100,
        }
    return {
        "applyTo": "CLUSTER",
        "match": {"context": context, "cluster": {"service": host}},
        "patch": {"operation": "MERGE", "value": {"outlier_detection": detection}},
    }


def _inbound(service: Service) -> Iterator[Json]:
    traffic = service.traffic
    if traffic.max_body is not None:
        yield http_filter("aic.max-body", _held(traffic.max_body))
    if traffic.compress:
        yield http_filter("envoy.filters.http.compressor", _compressor())


def _held(limit: int) -> Json:
    """A body is held until it has come whole. A websocket and a gRPC stream are no bodies in this sense: they pass the filter by."""
    # The filter takes no 0, which would mean no body at all.
    config = documents.typed("extensions.filters.http.buffer.v3.Buffer", max_request_bytes=max(1, limit))
    passes = documents.typed("extensions.filters.common.matcher.action.v3.SkipFilter")
    skip = {"action": {"name": "skip", "typed_config": passes}}
    streams = [
        {
            "predicate": {"single_predicate": header("upgrade", {"safe_regex": {"regex": ".+", "google_re2": {}}})},
            "on_match": skip,
        },
        {"predicate": {"single_predicate": header("content-type", {"prefix": "application/grpc"})}, "on_match": skip},
    ]
    return documents.typed(
        "extensions.common.matching.v3.ExtensionWithMatcher",
        extension_config={"name": "envoy.filters.http.buffer", "typed_config": config},
        xds_matcher={"matcher_list": {"matchers": streams}},
    )


def header(name: str, value: Json) -> Json:
    kind = "type.matcher.v3.HttpRequestHeaderMatchInput"
    return {"input": {"name": name, "typed_config": documents.typed(kind, header_name=name)}, "value_match": value}


def _compressor() -> Json:
    """Of Envoy's own list of types: not text/event-stream, whose events must not wait for each other."""
    gzip = documents.extension("compression.gzip.compressor", "extensions.compression.gzip.compressor.v3.Gzip")
    common = {"common_config": {"min_content_length": _SMALL}}
    return documents.typed(
        "extensions.filters.http.compressor.v3.Compressor", compressor_library=gzip, response_direction_config=common
    )
