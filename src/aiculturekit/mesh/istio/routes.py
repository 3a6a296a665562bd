"""VirtualService: a service's branches, once for its callers in the mesh and once for its public paths. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiculturekit.language import say
from aiculturekit.mesh.branches import Branch, branches
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.istio import gateways, headers, limits, matches, names, origins
from aiculturekit.mesh.istio.matches import Form, Json
from aiculturekit.mesh.nodes import Entry, Node, Service
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Fault, Redirect, Retries, Rewrite


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        yield names.networking("VirtualService", service.name, place, **_of_service(service, place))
    if node.entries:
        yield names.networking("VirtualService", gateways.NAME, place, **_public(node, place))


def _of_service(service: Service, place: Place) -> Json:
    hosts = {"hosts": [names.host(service.name, place)]}
    if service.protocol == "tcp":
        match = [{"port": place.port}]
        return hosts | {"tcp": [{"match": match, "route": _destinations(service, _split(service), place)}]}
    found = [route for branch in branches(service) if not branch.match.claim for route in of(service, branch, place)]
    return hosts | {"http": found}


def _split(service: Service) -> Branch:
    """A tcp service has a single branch: its weights."""
    return branches(service)[-1]


def _public(node: Node, place: Place) -> Json:
    services = {service.name: service for service in node.services}
    found = [
        route
        for entry in sorted(node.entries, key=lambda entry: (-len(entry.prefix.rstrip("/")), entry.prefix))
        for branch in branches(services[entry.service], within=entry.prefix)
        for route in of(services[entry.service], branch, place, entry=entry)
    ]
    return {"hosts": list(place.hosts), "gateways": [gateways.NAME], "http": found}


def of(service: Service, branch: Branch, place: Place, *, entry: Entry | None = None) -> Iterator[Json]:
    """Usually one; two where a rewrite differs between the prefix itself and what lies below it."""
    forms = matches.forms(branch.match)
    name = f"{service.name}{entry.prefix.rstrip('/').replace('/', '.')}-{branch.name}" if entry else branch.name
    groups = [[form] for form in _by_itself(forms)] if branch.rewrite and branch.rewrite.path else [forms]
    for at, group in enumerate(groups):
        last = f"{name}-{at + 1}" if len(groups) > 1 else name
        yield {"name": last, "match": [form.request for form in group]} | _treated(service, branch, place, group[0])


def _by_itself(forms: list[Form]) -> list[Form]:
    """Where everything is taken, the root path on its own: it becomes the new path without a slash behind."""
    [first, *others] = forms
    if others or not first.is_inner:
        return forms
    root = first.request | {"uri": {"exact": "/"}}
    return [Form(root), Form(first.request | {"uri": {"prefix": "/"}}, is_inner=True)]


def _treated(service: Service, branch: Branch, place: Place, form: Form) -> Json:
    traffic = service.traffic
    found: Json = headers.edits(branch.headers, mark=limits.mark(service, branch))
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
        found |= {"rewrite": _rewrite(branch.rewrite, form)}
    if branch.mirror and branch.mirror.share > 0:
        copy = {"destination": _destination(service, branch.mirror.version, place)}
        found |= {"mirrors": [copy | {"percentage": {"value": branch.mirror.share}}]}
    return found | ({"fault": _fault(branch.fault)} if branch.fault else {})


def _destination(service: Service, version: str, place: Place) -> Json:
    return {"host": names.host(service.name, place), "subset": version, "port": {"number": place.port}}


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


def _rewrite(rewrite: Rewrite, form: Form) -> Json:
    found: Json = {"authority": rewrite.host} if rewrite.host else {}
    if rewrite.path:
        found["uri"] = f"{rewrite.path.rstrip('/')}/" if form.is_inner else rewrite.path
    return found
