"""What Envoy is started with. It never changes while Envoy runs, and knows nothing of the node. Pure."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json

CONNECTIONS = 20_000
"""Open downstream connections over all listeners, beyond which new ones are refused instead of the memory being
eaten."""

KEPT = (
    r".+\.(version_text|update_rejected)",
    r"(cluster_manager\.warming_clusters|listener_manager\.total_listeners_(warming|active))",
    r"server\.(live|uptime|memory_allocated|days_until_first_cert_expiring)",
    r"cluster\.[^.]+\.upstream_rq_(time|completed|[245]xx|429|active|retry|timeout|(pending|active|retry)_overflow)",
    r"cluster\.[^.]+\.upstream_cx_(total|active|connect_fail|overflow)",
    r"cluster\.[^.]+\.circuit_breakers\.default\.((rq|rq_pending|cx)_open|remaining_rq)",
    r"cluster\.(out|beyond)/[^.]+\.(upstream_cx_[rt]x_bytes_total|ssl\.(handshake|connection_error|fail_verify_(error|san)))",
    r"cluster\.out/[^.]+/\*\.upstream_cx_(connect_timeout|connect_ms|destroy_remote_with_active_rq)",
    r"cluster\.beyond/[^.]+\.upstream_cx_connect_timeout",
    r"http\.exit\.fault\.[^.]+/[^.]+\.aborts_injected",
    r"cluster\.in/[^.]+\.(membership_healthy|outlier_detection\.ejections_active)",
    r"vhost\.(need|proxy)/[^.]+\.vcluster\.(read|other)\.upstream_rq_total",
    r"http\.[^.]+\.(rbac\.(allowed|denied)|downstream_(rq_time|rq_completed|rq_5xx|cx_active))",
)


def compiled(*, folder: Path, admin: Path) -> Json:
    """`admin` is the unix socket on which Envoy answers questions: no port, and only its owner may ask. Beside it is the one on which it
    asks for certificates."""
    return {
        "node": {"id": "node", "cluster": "aiculturekit"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": documents.source(folder, names.LISTENERS),
            "cds_config": documents.source(folder, names.CLUSTERS),
            "ads_config": _asking(),
        },
        "static_resources": {"clusters": [_secrets(names.secrets_socket(admin))]},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _patterns()}}},
        "stats_flush_interval": "1s",  # until a flush, times are not in the figures: the default is 5 s
        "overload_manager": {"resource_monitors": [_connection_limit()]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {}}]},
    }


def _patterns() -> list[Json]:
    """Every figure that Envoy keeps costs memory for each cluster and listener: only those that somebody reads."""
    return [{"safe_regex": {"regex": f"^{kept}$"}} for kept in KEPT]


def _asking() -> Json:
    """One stream for all certificates, whatever their number. While no daemon answers, Envoy keeps what it has and asks again soon."""
    retry = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": names.SECRETS, "retry_policy": retry}}],
        "set_node_on_first_message_only": True,
    }


def _secrets(socket: Path) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    options = documents.typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}}
    )
    return {
        "name": names.SECRETS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": names.SECRETS, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _connection_limit() -> Json:
    return documents.extension(
        "resource_monitors.global_downstream_max_connections",
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=CONNECTIONS,
    )
