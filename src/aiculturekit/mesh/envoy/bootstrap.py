"""What Envoy is started with. It never changes while Envoy runs, and knows nothing of the node. Pure."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.envoy import documents, names
from aiculturekit.mesh.envoy.documents import Json

CONNECTIONS = 20_000
"""Open downstream connections over all listeners, beyond which new ones are refused instead of the memory being eaten."""

_KEPT_SUFFIXES = (
    ".version_text",
    ".update_rejected",
    ".upstream_rq_time",
    ".upstream_rq_completed",
    ".upstream_rq_2xx",
    ".upstream_rq_4xx",
    ".upstream_rq_5xx",
    ".upstream_rq_active",
    ".upstream_rq_retry",
    ".upstream_rq_pending_overflow",
    ".upstream_cx_total",
    ".upstream_cx_active",
    ".upstream_cx_connect_fail",
    ".ejections_active",
    ".membership_total",
    ".rbac.allowed",
    ".rbac.denied",
    ".downstream_rq_time",
    ".downstream_rq_completed",
    ".downstream_rq_5xx",
    ".downstream_cx_active",
)
_KEPT = (
    "cluster_manager.warming_clusters",
    "listener_manager.total_listeners_warming",
    "listener_manager.total_listeners_active",
    "server.live",
    "server.uptime",
    "server.memory_allocated",
    "server.days_until_first_cert_expiring",
)


def compiled(*, folder: Path, admin: Path) -> Json:
    """`admin` is the unix socket on which Envoy answers questions: no port, and only its owner may ask."""
    return {
        "node": {"id": "node", "cluster": "aiculturekit"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": documents.source(folder, names.LISTENERS),
            "cds_config": documents.source(folder, names.CLUSTERS),
        },
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _patterns()}}},
        "overload_manager": {"resource_monitors": [_connection_limit()]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {}}]},
    }


def _patterns() -> list[Json]:
    """Every figure that Envoy keeps costs memory for each cluster and listener: only those that somebody reads."""
    return [*({"exact": name} for name in _KEPT), *({"suffix": suffix} for suffix in _KEPT_SUFFIXES)]


def _connection_limit() -> Json:
    return documents.extension(
        "resource_monitors.global_downstream_max_connections",
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=CONNECTIONS,
    )
