"""What was not let through, in words: what happened, and which line of the application file would allow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiculturekit.errors import NotFound, SpecError
from aiculturekit.language import say
from aiculturekit.mesh.nodes import Refusal
from aiculturekit.spec import load
from aiculturekit.spec.models import Application

Json = dict[str, Any]
Key = tuple[str, ...]


def key(refusal: Refusal) -> Key:
    """What counts as the same again; a path may hold anything, so it is no part of it."""
    reason = refusal.method if refusal.kind == "call" else refusal.detail
    return refusal.app, refusal.source, refusal.target, refusal.kind, reason, str(refusal.allowed)


def explained(refusal: Refusal, *, file: str, environment: str) -> Json:
    """A record for the feeds. The file is read as it is now; `line` is 0 where it says nothing."""
    application = _application(file, environment)
    place = _place(refusal, application)
    return {
        "app": refusal.app,
        "source": refusal.source or say("unknown"),
        "target": refusal.target,
        "kind": refusal.kind,
        "allowed": refusal.allowed,
        "count": 0,
        "message": _message(refusal, is_narrow=_is_narrow(refusal, application)),
        "hint": _hint(refusal, place, is_narrow=_is_narrow(refusal, application)),
        "file": file,
        "line": _line(application, place),
    }


def _application(file: str, environment: str) -> Application | None:
    try:
        return load.load(Path(file), environment=environment) if file else None
    except (SpecError, NotFound, OSError):
        return None


def _line(application: Application | None, place: str) -> int:
    return application.place(place)[0] if application else 0


def _place(refusal: Refusal, application: Application | None) -> str:
    """The key path of what decided."""
    if refusal.kind in ("token", "claims"):
        return f"services.{refusal.target}.access.jwt"
    if refusal.kind == "check":
        return f"services.{refusal.target}.access.check"
    if refusal.kind == "certificate":
        return f"services.{refusal.target}"
    if refusal.kind == "foreign":
        return f"services.{refusal.target}.access.foreign"
    section = "jobs" if application and refusal.source in application.jobs else "services"
    return f"{section}.{refusal.source}.needs"


def _is_narrow(refusal: Refusal, application: Application | None) -> bool:
    """Whether the caller has the need, but not for this operation."""
    if application is None or refusal.kind != "call":
        return False
    workload = {**application.services, **application.jobs}.get(refusal.source)
    needs = workload.needs if workload else ()
    return any((need.kind, need.name) == ("services", refusal.target) and need.operations for need in needs)


def _message(refusal: Refusal, *, is_narrow: bool) -> str:
    names = {"source": refusal.source, "target": refusal.target}
    if refusal.kind == "token":
        return say("a request to {target} had no good token: {detail}", **names, detail=refusal.detail)
    if refusal.kind == "claims":
        return say("a request to {target} had a token without the claims that are asked for", **names)
    if refusal.kind == "check":
        if refusal.detail == "ext_authz_error":
            return say("the check of {target} did not answer", **names)
        return say("the check of {target} refused a request", **names)
    if refusal.kind == "certificate":
        return say("a connection to {target} showed no good certificate: {detail}", **names, detail=refusal.detail)
    if refusal.kind == "foreign":
        return say("{source} of another node called {target}, whose access.foreign does not name it", **names)
    if is_narrow:
        operation = f"{refusal.method} {refusal.path}"
        text = say("{source} called {operation} of {target}, which its needs do not name", **names, operation=operation)
    else:
        text = say("{source} called {target}, which is not in its needs", **names)
    return say("{message} (allowed, because audit)", message=text) if refusal.allowed else text


def _hint(refusal: Refusal, place: str, *, is_narrow: bool) -> str:
    if refusal.kind in ("token", "claims"):
        return say("what a token must be like says {place}", place=place)
    if refusal.kind == "check":
        return say("who is asked says {place}", place=place)
    if refusal.kind == "certificate":
        return say("call it through the mesh, at the address that a need gives")
    if refusal.kind == "foreign":
        return say("to allow it, add `{target}` to {place}", target=refusal.source, place=place)
    if is_narrow:
        operation = f"{refusal.method} {refusal.path}"
        return say(
            "to allow it, add `{operation}` to the need `{target}` of {place}",
            operation=operation,
            target=refusal.target,
            place=place,
        )
    return say("to allow it, add `{target}` to {place}", target=refusal.target, place=place)
