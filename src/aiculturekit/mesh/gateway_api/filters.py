"""What a rule does to a request before it is passed on, as filters of an HTTPRoute. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aiculturekit.mesh import manifests
from aiculturekit.mesh.branches import Branch
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rendering import Place
from aiculturekit.mesh.rules import Cors, Edits, Headers, Match, Mirror, Redirect, Rewrite

Filter = dict[str, Any]


def of(service: Service, branch: Branch, *, place: Place) -> list[Filter]:
    found = [cors(service.traffic.cors)] if service.traffic.cors else []
    found += edits(branch.headers)
    if branch.redirect:
        return [*found, redirect(branch.redirect)]
    if branch.rewrite:
        found.append(rewrite(branch.rewrite, branch.match))
    if branch.mirror:
        found.append(mirror(service, branch.mirror, place=place))
    return found


def edits(headers: tuple[Headers, ...]) -> list[Filter]:
    """A filter may stand once in a rule: what the service says and what the route says become one, the route's last."""
    found = []
    for kind, listed in (
        ("RequestHeaderModifier", [one.request for one in headers]),
        ("ResponseHeaderModifier", [one.response for one in headers]),
    ):
        if changes := _changes(listed):
            found.append({"type": kind, kind[0].lower() + kind[1:]: changes})
    return found


def _changes(listed: list[Edits]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for way in ("set", "add"):
        merged = {name.lower(): (name, value) for one in listed for name, value in getattr(one, way).items()}
        if merged:
            found[way] = [{"name": name, "value": value} for name, value in merged.values()]
    if removed := list(dict.fromkeys(name for one in listed for name in one.remove)):
        found["remove"] = removed
    return found


def redirect(to: Redirect) -> Filter:
    parts = urlsplit(to.to)
    found: dict[str, Any] = {"path": {"type": "ReplaceFullPath", "replaceFullPath": parts.path or "/"}}
    if parts.scheme:
        found |= {"scheme": parts.scheme, "hostname": parts.hostname or ""}
    if parts.port:
        found["port"] = parts.port
    return {"type": "RequestRedirect", "requestRedirect": found | {"statusCode": to.status}}


def rewrite(to: Rewrite, match: Match) -> Filter:
    """A prefix is replaced where the rule matches one, the whole path where it matches exactly one."""
    found: dict[str, Any] = {}
    if to.host:
        found["hostname"] = to.host
    if to.path:
        is_exact = match.path is not None and match.path.exact is not None
        kind = "ReplaceFullPath" if is_exact else "ReplacePrefixMatch"
        found["path"] = {"type": kind, kind[0].lower() + kind[1:]: to.path}
    return {"type": "URLRewrite", "urlRewrite": found}


def mirror(service: Service, to: Mirror, *, place: Place) -> Filter:
    target = {"name": manifests.backend(service, to.version), "port": place.port_of(service.name)}
    found: dict[str, Any] = {"backendRef": target}
    if to.share != 100:
        found |= (
            {"percent": int(to.share)}
            if to.share == int(to.share)
            else {"fraction": {"numerator": round(to.share * 100), "denominator": 10_000}}
        )
    return {"type": "RequestMirror", "requestMirror": found}


def cors(rules: Cors) -> Filter:
    found: dict[str, Any] = {"allowOrigins": list(rules.origins)}
    listed = {"allowMethods": rules.methods, "allowHeaders": rules.headers, "exposeHeaders": rules.expose}
    found |= {key: list(values) for key, values in listed.items() if values}
    if rules.credentials:
        found["allowCredentials"] = True
    return {"type": "CORS", "cors": found | {"maxAge": max(1, round(rules.max_age))}}
