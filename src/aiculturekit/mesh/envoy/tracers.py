"""Spans for a share of the requests, sent to a collector over OTLP. Without a collector there is no tracer at all. Pure.

Each door speaks for whom it belongs to: the ingress for itself, a workload's own doors for the workload (client spans), a version's
inbound listener for the service (server spans). The context is W3C's `traceparent`: whoever passes it on is one trace with its callers,
and a decision made at the first door holds at the others.
"""

from __future__ import annotations

import ipaddress

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Tracing

CLUSTER = "otlp"
_HCM = "envoy.filters.network.http_connection_manager"


def traced(listener: Json, tracing: Tracing | None) -> Json:
    """The listener with a tracer in each of its HTTP connection managers."""
    if tracing is None:
        return listener
    chains = [_chain(chain, listener["name"], tracing) for chain in listener["filter_chains"]]
    kind = listener["name"].partition("/")[0]
    direction = {"need": "OUTBOUND", "proxy": "OUTBOUND", "in": "INBOUND"}.get(kind, "UNSPECIFIED")
    return listener | {"filter_chains": chains, "traffic_direction": direction}


def collector(tracing: Tracing | None) -> list[Json]:
    """The cluster of the collector."""
    if tracing is None:
        return []
    endpoint = {"endpoint": {"address": documents.address(tracing.port, host=tracing.host)}}
    cluster = documents.typed(
        "config.cluster.v3.Cluster",
        name=CLUSTER,
        type="STATIC" if _is_address(tracing.host) else "STRICT_DNS",
        load_assignment={"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        connect_timeout="1s",
    )
    return [cluster]


def _chain(chain: Json, listener: str, tracing: Tracing) -> Json:
    return chain | {"filters": [_filter(one, listener, tracing) for one in chain["filters"]]}


def _filter(one: Json, listener: str, tracing: Tracing) -> Json:
    if one["name"] != _HCM:
        return one
    return one | {"typed_config": one["typed_config"] | {"tracing": _tracing(listener, tracing)}}


def _tracing(listener: str, tracing: Tracing) -> Json:
    service, attributes = _who(listener)
    detector = documents.extension(
        "tracers.opentelemetry.resource_detectors.static_config",
        "extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
        attributes=attributes,
    )
    uri = {"uri": f"{tracing.url}/v1/traces", "cluster": CLUSTER, "timeout": "1s"}
    provider = documents.extension(
        "tracers.opentelemetry",
        "config.trace.v3.OpenTelemetryConfig",
        http_service={"http_uri": uri},
        service_name=service,
        resource_detectors=[detector] if attributes else [],
    )
    return {"provider": provider, "random_sampling": {"value": tracing.percent}}


def _who(listener: str) -> tuple[str, dict[str, str]]:
    """The service that a listener speaks for, and what else is known of it."""
    kind, _, rest = listener.partition("/")
    if not rest:
        return kind, {}
    app, name, *more = rest.split("/")
    version = {"service.version": more[0]} if kind == "in" else {}
    return name, {"service.namespace": app} | version


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
