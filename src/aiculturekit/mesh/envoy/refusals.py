"""What Envoy writes about that which it does not let through, and what the refused one reads. Pure.

One JSON line each, in one file; none on the way of what is allowed.
"""

from __future__ import annotations

from pathlib import Path

from aiculturekit.language import say
from aiculturekit.mesh.envoy import documents, names, permissions
from aiculturekit.mesh.envoy.documents import TEXT, Json

_SHADOW = "shadow_engine_result"


def of_calls(folder: Path, *, app: str, service: str) -> Json:
    """Calls that the guard refused, or would have refused were it not under audit."""
    verdicts = [_noted(permissions.RBAC, key) for key in ("enforced_engine_result", _SHADOW)]
    fields = {
        "method": "%REQ(:METHOD):16%",
        "path": "%PATH(NQ):256%",
        "audit": f"%DYNAMIC_METADATA({permissions.RBAC}:{_SHADOW})%",
    }
    return log(folder, {"or_filter": {"filters": verdicts}}, app=app, target=service, **fields)


def of_foreigners(folder: Path, *, app: str, service: str) -> Json:
    """Calls from other nodes, at the gateway."""
    fields = {"method": "%REQ(:METHOD):16%", "path": "%PATH(NQ):256%", "door": names.GATEWAY}
    return log(folder, _noted(permissions.RBAC, "enforced_engine_result"), app=app, target=service, **fields)


def of_connections(folder: Path, *, app: str, service: str) -> Json:
    """The same for a tcp service, whose refusal is the end of the connection and leaves no metadata."""
    is_denied = expression("connection.termination_details.startsWith('rbac_access_denied')")
    verdicts = {"or_filter": {"filters": [is_denied, _noted(permissions.NETWORK_RBAC, _SHADOW)]}}
    audit = f"%DYNAMIC_METADATA({permissions.NETWORK_RBAC}:{_SHADOW})%"
    return log(folder, verdicts, app=app, target=service, method="", path="", audit=audit)


def of_handshakes(folder: Path, *, app: str, service: str) -> Json:
    """Connections whose certificate is none of ours, or that show none: they end before there is a request."""
    is_failed = expression("connection.transport_failure_reason != ''")
    fields = {"method": "", "path": "", "tls": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"}
    return log(folder, is_failed, app=app, target=service, **fields)


def log(folder: Path, condition: Json, **fields: str) -> Json:
    line = {"at": "%START_TIME(%s.%3f)%", "peer": "%DOWNSTREAM_PEER_URI_SAN%", **fields}
    written = documents.extension(
        "access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        path=str(folder / names.REFUSALS),
        log_format={"json_format": line},
    )
    return written | {"filter": condition}


def expression(text: str) -> Json:
    """A condition in the Common Expression Language."""
    message = "extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": documents.extension("access_loggers.extension_filters.cel", message, expression=text)}


def _noted(guard: str, key: str) -> Json:
    """A guard leaves its verdict as metadata; a replica's own 403 has none."""
    matcher = {"filter": guard, "path": [{"key": key}], "value": {"string_match": {"exact": "denied"}}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def reply(*, app: str, service: str) -> Json:
    """What a refused caller reads."""
    text = say(
        "{caller} may not call {app}/{service} with {operation}: its needs in the application file do not name that.\n",
        caller="%DOWNSTREAM_PEER_URI_SAN%",
        app=app,
        service=service,
        operation="%REQ(:METHOD):16% %PATH(NQ):256%",
    ) + say(
        "To allow it, its needs must have `{service}`, or `{service}: {operation}`.\n",
        service=service,
        operation="%REQ(:METHOD):16% %PATH(NQ):256%",
    )
    return mapper(status(403), text)


def foreign_reply(*, app: str, service: str) -> Json:
    """What one of another node reads."""
    text = say(
        "{caller} may not call {app}/{service}: its `access.foreign` does not name that workload.\n",
        caller="%DOWNSTREAM_PEER_URI_SAN%",
        app=app,
        service=service,
    )
    return mapper(status(403), text)


def mapper(condition: Json, text: str, **fields: object) -> Json:
    form = {"text_format_source": {"inline_string": text}, "content_type": TEXT}
    return {"filter": condition, "body_format_override": form, **fields}


def status(code: int, *, op: str = "EQ") -> Json:
    return {"status_code_filter": {"comparison": {"op": op, "value": {"default_value": code, "runtime_key": "-"}}}}
