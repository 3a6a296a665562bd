"""The HTTP connection managers of the four kinds of listener. Pure."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.envoy import chains, documents, edits, guards, names, refusals, replies
from aiculturekit.mesh.envoy.documents import Json

_HCM = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_NOBODY = {"address_prefix": "192.0.2.0", "prefix_len": 32}
"""Whom the ingress trusts to set timeouts and retries by `x-envoy-…` headers: an address that nobody has (RFC 5737). By
default it would be everybody on a private network, this machine included."""
IDLE = 3600.0
"""Seconds without a byte before a stream or a connection is given up: long, since a websocket or an event stream may
be silent."""


def ingress(folder: Path) -> Json:
    return _manager(
        "ingress",
        folder,
        table=names.INGRESS_ROUTES,
        guards=[*chains.preflight(), *guards.filters(folder), *chains.failures()],
        access_log=[guards.log(folder)],
        local_reply_config={"mappers": guards.replies()},
        **_cleaned({"remove": names.PAYLOAD}),
        use_remote_address=True,
        normalize_path=True,
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        internal_address_config={"cidr_ranges": [_NOBODY]},
    )


def outbound(folder: Path, *, door: str, way: str = "") -> Json:
    opened = _cleaned(_noted(names.DOOR, door), *([_noted(names.WAY, way)] if way else []))
    return _manager("outbound", folder, table=names.MESH_ROUTES, guards=chains.calling(), normalize_path=True, **opened)


def inbound(folder: Path, *, door: str, app: str, service: str) -> Json:
    return _answering(
        "inbound",
        folder,
        table=names.INBOUND_ROUTES,
        guards=chains.called(),
        access_log=[refusals.of_calls(folder, app=app, service=service)],
        local_reply_config=_replying(refusals.reply(app=app, service=service), app=app, service=service),
        **_early([_noted(names.DOOR, door)]),
    )


def gate(folder: Path, *, door: str, app: str, service: str) -> Json:
    """Where another node's workloads come in: they are strangers as at the ingress, and must show who they are as inside."""
    return _answering(
        "gateway",
        folder,
        table=names.MESH_ROUTES,
        guards=[*chains.calling(), *chains.called()],
        access_log=[refusals.of_foreigners(folder, app=app, service=service)],
        local_reply_config=_replying(refusals.foreign_reply(app=app, service=service), app=app, service=service),
        **_cleaned(_noted(names.DOOR, door)),
    )


def _replying(refusal: Json, *, app: str, service: str) -> Json:
    return {"mappers": [refusal, *replies.compiled(app=app, service=service)]}


def _answering(prefix: str, folder: Path, *, table: str, guards: list[Json], **fields: object) -> Json:
    """The peer's SPIFFE ID goes to the replica in `x-forwarded-client-cert`; whatever it said of itself there is
    removed."""
    nobody = documents.extension(
        "filters.http.rbac",
        "extensions.filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": {}},  # the route table says who may; without it, nobody
    )
    return _manager(
        prefix,
        folder,
        table=table,
        guards=[nobody, *guards],
        normalize_path=True,  # what is compared with the operations of a need must be what the replica gets
        **fields,
        generate_request_id=False,
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        http2_protocol_options={"allow_connect": True},
    )


def _cleaned(*then: Json) -> Json:
    """Nobody outside the mesh says anything in a header of the platform's own."""
    return _early([{"remove_on_match": {"key_matcher": {"prefix": names.OWN, "ignore_case": True}}}, *then])


def _noted(header: str, value: str) -> Json:
    """Note something of the listener's own before a route is looked for."""
    return {"append": edits.computed(header, value)}


def _early(mutations: list[Json]) -> Json:
    mutation = documents.typed(
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=mutations
    )
    name = "envoy.http.early_header_mutation.header_mutation"
    return {"early_header_mutation_extensions": [{"name": name, "typed_config": mutation}]}


def _manager(prefix: str, folder: Path, *, table: str, guards: list[Json] | None = None, **fields: object) -> Json:
    router = documents.extension(
        "filters.http.router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    )
    fixed = {
        "stat_prefix": prefix,
        "codec_type": "AUTO",
        "rds": {"route_config_name": table, "config_source": documents.source(folder, names.routes_file(table))},
        "http_filters": [*(guards or []), router],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": documents.seconds(IDLE),
        "common_http_protocol_options": {"idle_timeout": documents.seconds(IDLE)},
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
    }
    return documents.extension("filters.network.http_connection_manager", _HCM, **fixed, **fields)
