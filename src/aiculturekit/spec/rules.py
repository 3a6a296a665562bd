"""What no single key of `traffic:`, `versions:` and `access:` shows by itself. Asks the disk only for key sets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path

from aiculturekit.language import say
from aiculturekit.spec.access import Access
from aiculturekit.spec.services import Service
from aiculturekit.spec.texts import Path as KeyPath
from aiculturekit.spec.traffic import Match, PathPattern

_HEAD = re.compile(r"[\w/-]*(?![*?+{])")
"""What a regular expression surely begins with."""
Finding = tuple[KeyPath, str, str]
"""(key path, message, hint)."""


def findings(name: str, service: Service, *, directory: Path) -> Iterator[Finding]:
    place: KeyPath = ("services", name)
    yield from _targets(place, service)
    yield from _contradictions(place, service)
    yield from _of_http_only(place, service)
    yield from _empty_zones(place, service)
    yield from _claims(place, service)
    yield from _of_public_only(place, service)
    yield from _key_sets((*place, "access", "jwt"), service.access, directory)


def _targets(place: KeyPath, service: Service) -> Iterator[Finding]:
    """Versions that are named must be there."""
    known = list(service.versions) or ["v1"]
    traffic = service.traffic
    named = [((*place, "traffic", "mirror"), traffic.mirror.version if traffic.mirror else None)]
    for at, route in enumerate(traffic.routes):
        inner = (*place, "traffic", "routes", at)
        named += [((*inner, "version"), route.version)]
        named += [((*inner, "mirror"), route.mirror.version if route.mirror else None)]
    for path, version in named:
        if version is not None and version not in known:
            near = get_close_matches(version, known, 1)
            hint = (
                say("did you mean {near}?", near=near[0]) if near else say("there is {known}", known=", ".join(known))
            )
            yield path, say("there is no version {name}", name=repr(version[:60])), hint


def _matches(place: KeyPath, service: Service) -> Iterator[tuple[KeyPath, Match]]:
    for at, route in enumerate(service.traffic.routes):
        yield (*place, "traffic", "routes", at, "match"), route.match
        if route.fault and route.fault.when:
            yield (*place, "traffic", "routes", at, "fault", "when"), route.fault.when
    if service.traffic.fault and service.traffic.fault.when:
        yield (*place, "traffic", "fault", "when"), service.traffic.fault.when
    for version, detail in service.versions.items():
        if detail.match:
            yield (*place, "versions", version, "match"), detail.match


def _contradictions(place: KeyPath, service: Service) -> Iterator[Finding]:
    """A regular expression beside another path of which it cannot be told how they lie: no mesh can ask for both."""
    message = say("a regular expression and another path cannot both hold")
    hint = say("let it begin with that path, or give one of the two no path")
    for pair in _combined(place, service):
        for (path, one), (_, other) in (pair, pair[::-1]):
            if _is_unclear(one.path, other.path):
                yield path, message, hint


def _combined(place: KeyPath, service: Service) -> Iterator[tuple[tuple[KeyPath, Match], tuple[KeyPath, Match]]]:
    """Matches that have to hold together for some request."""
    listed = list(_matches(place, service))
    public = [((*place, "public"), Match(path=PathPattern(prefix=prefix))) for prefix in service.public]
    for one in listed:
        yield from ((one, other) for other in public)
    for one, other in combinations(listed, 2):
        (mine, _), (theirs, _) = one, other
        if "routes" in mine and "routes" in theirs and mine[4] != theirs[4]:
            continue
        if not ("versions" in mine and "versions" in theirs):
            yield one, other


def _is_unclear(one: PathPattern | None, other: PathPattern | None) -> bool:
    if one is None or other is None or one == other or one.regex is None or other.exact is not None:
        return False
    if other.regex is not None:
        return True
    found, within = _HEAD.match(one.regex), f"{(other.prefix or '/').rstrip('/')}/"
    head = found[0] if found and "|" not in one.regex else ""
    return not head.startswith(within) and within.startswith(head) and within != "/"


def _of_http_only(place: KeyPath, service: Service) -> Iterator[Finding]:
    if service.protocol != "tcp":
        return
    for key in service.traffic.model_fields_set - {"breaker", "zones", "fault"}:
        yield (
            (*place, "traffic", key),
            say("a tcp service has no {key}: the mesh sees bytes, not requests", key=key),
            say("remove it, or set protocol: http"),
        )
    for version, detail in service.versions.items():
        if detail.match:
            message = say("a tcp service has no {key}: the mesh sees bytes, not requests", key="match")
            yield (*place, "versions", version, "match"), message, say("use weights alone")


def _empty_zones(place: KeyPath, service: Service) -> Iterator[Finding]:
    """A place in which nothing can ever stand takes over for nobody."""
    zones = service.traffic.zones
    if len(zones) > service.scale.max:
        yield (
            (*place, "traffic", "zones"),
            say(
                "{count} places, but at most {most} replicas: some stay empty", count=len(zones), most=service.scale.max
            ),
            say("set scale: {count} or more, or name fewer places", count=len(zones)),
        )


def _claims(place: KeyPath, service: Service) -> Iterator[Finding]:
    for path, match in _matches(place, service):
        if match.claim and not service.access.jwt:
            yield path, say("claims are read from tokens that `access.jwt` has validated"), say("add access.jwt")


def _of_public_only(place: KeyPath, service: Service) -> Iterator[Finding]:
    """The ingress asks for tokens and asks the check: without a public path neither would ever happen."""
    if service.public:
        return
    for key in ("jwt", "check"):
        if getattr(service.access, key):
            yield (
                (*place, "access", key),
                say("access.{key} is about requests from outside, and nothing of this service is public", key=key),
                say("declare public: with its path prefixes, or remove it: who may call within the mesh say needs"),
            )


def _key_sets(place: KeyPath, access: Access, directory: Path) -> Iterator[Finding]:
    for at, jwt in enumerate(access.jwt):
        if "://" in jwt.jwks:
            continue
        file = (directory / jwt.jwks).resolve()
        if Path(jwt.jwks).is_absolute() or not file.is_relative_to(directory):
            message = say("{path} leads out of the application's directory", path=repr(jwt.jwks[:80]))
            yield (*place, at, "jwks"), message, ""
        elif not file.is_file():
            message = say("there is no file {path}", path=repr(jwt.jwks[:80]))
            yield (*place, at, "jwks"), message, say("create it, or mend the path")
        elif not _is_key_set(file):
            message = say("{path} is not a key set", path=repr(jwt.jwks[:80]))
            yield (*place, at, "jwks"), message, say('it must be JSON like {"keys": [...]} (RFC 7517)')


def _is_key_set(file: Path) -> bool:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and isinstance(value.get("keys"), list) and bool(value["keys"])
