"""What an API server's answer means to whoever asked: its Status documents as errors of ours. Pure.

    429, 5xx         Again; the caller has asked often enough
    401, 403         Refused, with the verb and the resource
    404, 410         NotFound
    409              Conflicted: with the field managers and fields of a conflict, where it is one
    400, 413, 422    Refused, with the field that is invalid

(https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#response-status-kind)
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.errors import Again, AicError, NotFound, Refused
from aiculturekit.language import say

_MANAGER = re.compile(r'conflict with "(?P<name>(?:[^"\\]|\\.)*)"')
_PASSING = (408, 429, 500, 502, 503, 504)


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """What was asked for: the verb of Kubernetes' permissions, and the object as people name it (`Deployment web in shop`)."""

    verb: str
    what: str
    resource: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Clash:
    """Another field manager has the field."""

    manager: str
    field: str


class Conflicted(Refused):
    """Somebody else changed it, or has it. `clashes` are those of field managers; empty where it only changed in between."""

    code = "conflicted"

    def __init__(self, message: str, *, clashes: Sequence[Clash] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.clashes = tuple(clashes)


class Forbidden(Refused):
    """Who asks may not do that."""

    code = "forbidden"


def is_passing(status: int) -> bool:
    """Whether the same request may be answered otherwise a moment later."""
    return status in _PASSING


def error(status: int, body: bytes, *, ask: Ask, server: str) -> AicError:
    """The error that an answer is."""
    said = _status(body)
    message = said.get("message") or body[:300].decode("utf-8", "replace") or str(status)
    if is_passing(status):
        return Again(
            say(
                "{server} answers {status} to {verb} {what}: {message}",
                server=server,
                status=status,
                verb=ask.verb,
                what=ask.what,
                message=message,
            ),
            hint=say("the API server is overloaded or starting: try again"),
        )
    if status == 401:
        return Forbidden(
            say("{server} does not know who asks (401)", server=server),
            hint=say("log in to the cluster again; `kubectl auth whoami` shows as whom"),
        )
    if status == 403:
        return _forbidden(said, message, ask)
    if status in (404, 410):
        return NotFound(say("{what} is not there: {message}", what=ask.what, message=message))
    if status == 409:
        return _conflicted(said, message, ask)
    return Refused(
        say("the cluster does not accept {what}: {message}", what=ask.what, message=_invalid(said) or message),
        hint=say("`aic render kubernetes` shows the object"),
    )


def retry_after(headers: Mapping[str, str], body: bytes) -> float | None:
    """Seconds that the server asks to wait, by its header or its Status."""
    text = headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    seconds = _status(body).get("details", {}).get("retryAfterSeconds")
    return float(seconds) if seconds else None


def _status(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _forbidden(said: Mapping[str, Any], message: str, ask: Ask) -> AicError:
    details = said.get("details", {})
    if "is being terminated" in message or any(
        cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes", ())
    ):
        return Again(
            say("the namespace of {what} is being deleted", what=ask.what),
            hint=say("wait until it is gone: `kubectl get namespaces`"),
        )
    if "violates PodSecurity" in message or "admission" in message or "exceeded quota" in message:
        return Refused(say("the cluster does not accept {what}: {message}", what=ask.what, message=message))
    return Forbidden(
        say("not allowed to {verb} {what}: {message}", verb=ask.verb, what=ask.what, message=message),
        hint=say(
            "let an administrator grant the verb {verb} on {resource}",
            verb=ask.verb,
            resource=ask.resource or details.get("kind", ask.what),
        ),
    )


def _conflicted(said: Mapping[str, Any], message: str, ask: Ask) -> Conflicted:
    clashes = [
        Clash(match["name"], str(cause.get("field", "")))
        for cause in said.get("details", {}).get("causes", ())
        if cause.get("reason") == "FieldManagerConflict" and (match := _MANAGER.search(cause.get("message", "")))
    ]
    if not clashes:
        return Conflicted(
            say("{what} was changed by somebody else in between: {message}", what=ask.what, message=message)
        )
    return Conflicted(
        foreign(ask.what, clashes),
        clashes=clashes,
        hint=say("leave these fields to it, or take them over: --force-conflicts"),
    )


def foreign(what: str, clashes: Sequence[Clash]) -> str:
    """Who has which fields."""
    managers = sorted({clash.manager for clash in clashes})
    fields = ", ".join(clash.field for clash in clashes)
    return say(
        "{what} is also managed by {managers}, which has {fields}",
        what=what,
        managers=", ".join(managers),
        fields=fields,
    )


def _invalid(said: Mapping[str, Any]) -> str:
    """`spec.replicas: must be …` for each cause that names its field."""
    causes = [cause for cause in said.get("details", {}).get("causes", ()) if cause.get("field")]
    return "; ".join(f"{cause['field']}: {cause.get('message', cause.get('reason', ''))}" for cause in causes)
