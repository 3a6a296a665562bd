"""VirtualService: a service's branches, once for its callers in the mesh and once for its public paths. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiculturekit.language import say
from aiculturekit.mesh.branches import Branch, branches
from aiculturekit.mesh.envoy.actions import replaced
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.envoy.names import version_cookie
from aiculturekit.mesh.istio import gateways, headers, limits, matches, names, origins
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Entry, Node, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Fault, Pattern, Redirect, Retries, Rewrite, Sticky


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        yield names.networking("VirtualService", service.name, place, **_of_service(service, place))
    if node.entries:
        yield names.networking("VirtualService", gateways.NAME, place, **_public(node, place))


def _of_service(service: Service, place: Place) -> Json:
    hosts = {"hosts": [names.host(service.name, place)]}
    if service.protocol == "tcp":
        match = [{"port": place.port_of(service.name)}]
        return hosts | {"tcp": [{"match": match, "route": _destinations(service, _split(service), place)}]}
    reached = [branch for branch in _reached(branches(service)) if not branch.match.claim]
    found = [route for branch in reached for route in of(service, branch, place)]
    return hosts | {"http": found}


def _reached(found: tuple[Branch, ...]) -> tuple[Branch, ...]:
    """Those up to the first that takes whatever is left: a route may do so before the last one does."""
    last = next(at for at, branch in enumerate(found) if branch.match == found[-1].match)
    return found[: last + 1]


def _split(service: Service) -> Branch:
    """A tcp service has a single branch: its weights."""
    return branches(service)[-1]


def _public(node: Node, place: Place) -> Json:
    services = {service.name: service for service in node.services}
    found = [
        route
        for entry in sorted(node.entries, key=lambda entry: (-len(entry.prefix.rstrip("/")), entry.prefix))
        for branch in _reached(branches(services[entry.service], within=entry.prefix))
        for route in of(services[entry.service], branch, place, entry=entry)
    ]
    return {"hosts": list(place.hosts), "gateways": [gateways.NAME], "http": found}


def of(service: Service, branch: Branch, place: Place, *, entry: Entry | None = None) -> Iterator[Json]:
    """Usually one. Where versions are remembered, before it one for each: who brings the cookie of a version goes there."""
    name = f"{service.name}{entry.prefix.rstrip('/').replace('/', '.')}-{branch.name}" if entry else branch.name
    treated = _treated(service, branch, place, is_public=entry is not None)
    sticky = branch.sticky if branch.shares else None
    if sticky is None:
        yield _route(name, branch, treated)
        return
    cookie = version_cookie(sticky.cookie, app=service.app, service=service.name)
    for version, _ in branch.shares:
        match = dataclasses.replace(branch.match, cookie={**branch.match.cookie, cookie: Pattern(exact=version)})
        known = dataclasses.replace(branch, match=match)
        yield _route(f"{name}-again-{version}", known, treated | {"route": _again(service, branch, version, place)})
    route = [
        destination | {"headers": {"response": {"add": {"set-cookie": _cookie(cookie, version, sticky)}}}}
        for destination, (version, _) in zip(treated["route"], branch.shares, strict=True)
    ]
    yield _route(name, branch, treated | {"route": route})


def _again(service: Service, branch: Branch, version: str, place: Place) -> list[Json]:
    """As often as there were versions to choose from: istiod makes a hash policy for each destination, and a replica is found again only
    by as many as it was found by."""
    count = len(branch.shares)
    if count == 1:
        return [{"destination": _destination(service, version, place)}]
    return [{"destination": _destination(service, version, place), "weight": 1} for _ in range(count)]


def _cookie(name: str, version: str, sticky: Sticky) -> str:
    return f"{name}={version}; Max-Age={round(sticky.lasts)}; Path=/; HttpOnly; SameSite=Lax"


def _route(name: str, branch: Branch, treated: Json) -> Json:
    return {"name": name, "match": matches.requests(branch.match)} | treated


def _treated(service: Service, branch: Branch, place: Place, *, is_public: bool) -> Json:
    traffic = service.traffic
    found: Json = headers.compiled(branch.headers, marks=limits.marks(service, branch, is_public=is_public))
    if traffic.cors:
        found |= {"corsPolicy": origins.policy(traffic.cors)}
    if branch.redirect:
        return found | {"redirect": _redirect(branch.redirect)}
    if not branch.shares:
        text = say("{service} has no version that takes requests now\n", service=service.name)
        return found | {"directResponse": {"status": 503, "body": {"string": text}}}
    found |= {"route": _destinations(service, branch, place), "retries": _retries(branch.retries)}
    if branch.timeout:
        found |= {"timeout": seconds(branch.timeout)}
    if branch.rewrite:
        found |= {"rewrite": _rewrite(branch.rewrite, matched=branch.matched)}
    return found | _mirror(service, branch, place) | ({"fault": _fault(branch.fault)} if branch.fault else {})


def _mirror(service: Service, branch: Branch, place: Place) -> Json:
    mirror = branch.mirror
    if mirror is None or mirror.share <= 0 or branch.shares == ((mirror.version, 100.0),):  # it has the request itself
        return {}
    copy = {"destination": _destination(service, mirror.version, place), "percentage": {"value": mirror.share}}
    return {"mirrors": [copy]}


def _destination(service: Service, version: str, place: Place) -> Json:
    return {"host": names.host(service.name, place), "subset": version, "port": {"number": place.port_of(service.name)}}


def _destinations(service: Service, branch: Branch, place: Place) -> list[Json]:
    whole = all(share == round(share) for _, share in branch.shares)
    return [
        {"destination": _destination(service, version, place)}
        | ({"weight": max(1, round(share if whole else share * 100))} if len(branch.shares) > 1 else {})
        for version, share in branch.shares
    ]


def _retries(retries: Retries) -> Json:
    """Always said: left out, Istio tries twice more, also after answers."""
    if retries.attempts <= 0:
        return {"attempts": 0}
    found: dict[str, Any] = {"attempts": retries.attempts, "retryOn": retries.on}
    return found | ({"perTryTimeout": seconds(retries.per_try)} if retries.per_try else {})


def _fault(fault: Fault) -> Json:
    share = {"percentage": {"value": fault.share}}
    found: Json = {}
    if fault.delay is not None:
        found["delay"] = share | {"fixedDelay": seconds(fault.delay)}
    if fault.abort is not None:
        found["abort"] = share | {"httpStatus": fault.abort}
    return found


def _redirect(redirect: Redirect) -> Json:
    address = urlsplit(redirect.to)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    found: Json = {"uri": path, "redirectCode": redirect.status}
    if address.netloc:
        found |= {"scheme": address.scheme, "authority": address.hostname}
        found |= {"port": address.port or {"http": 80, "https": 443}[address.scheme]}
    return found


def _rewrite(rewrite: Rewrite, *, matched: Pattern | None) -> Json:
    found: Json = {"authority": rewrite.host} if rewrite.host else {}
    if rewrite.path:
        pattern, instead = replaced(rewrite.path, matched=matched)
        found["uriRegexRewrite"] = {"match": pattern, "rewrite": instead}
    return found
