"""A branch of a service's rules as the routes of one caller. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from aiculturekit.language import say
from aiculturekit.mesh.branches import Branch
from aiculturekit.mesh.envoy import browsers, chains, documents, edits, limits, matches, names
from aiculturekit.mesh.envoy.documents import TEXT, Json
from aiculturekit.mesh.nodes import INGRESS, Service
from aiculturekit.mesh.rules import Fault, Mirror, Pattern, Redirect, Retries, Rewrite, Sticky

_STATUS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}

_BROKEN_OFF = 503


def compiled(service: Service, caller: str, branch: Branch) -> list[Json]:
    """The routes of a branch, in order."""
    fields = edits.joined(edits.compiled(branch.headers), _settings(browsers.compiled(service.traffic.cors)))
    if branch.redirect:
        return [{"match": matches.compiled(branch.match), "redirect": _redirect(branch.redirect)} | fields]
    if not branch.shares:
        text = say("{service} has no version that takes requests now\n", service=service.name)
        return [edits.joined({"match": matches.compiled(branch.match)}, answer(503, text), fields)]
    fields = edits.joined(_marks(service, caller, branch), fields)
    return [edits.joined(route, fields) for route in _faulty(service, caller, branch)]


def answer(status: int, text: str) -> Json:
    """The action of a route that says so itself."""
    return {
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [edits.put("content-type", TEXT)],
    }


def _settings(by_filter: Json) -> Json:
    return {"typed_per_filter_config": by_filter} if by_filter else {}


def _marks(service: Service, caller: str, branch: Branch) -> Json:
    """What the service's side must know and cannot see for itself."""
    found: list[Json] = []
    if branch.limit:
        found.append(edits.put(names.LIMIT, branch.limited_as))
    if limits.is_by_client(service):
        address = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
        found.append(edits.computed(names.CLIENT, address) if caller == INGRESS else edits.put(names.CLIENT, caller))
    return {"request_headers_to_add": found} if found else {}


def _faulty(service: Service, caller: str, branch: Branch) -> Iterator[Json]:
    """Envoy draws for a delay and for an abort one by one. Where both are to happen to the same share of the requests, the route
    draws for them; its draw is independent of the one between versions, since it looks at other digits of the same number."""
    fault = branch.fault
    if fault is None:
        yield from _sticky(service, caller, branch)
        return
    if fault.delay is None or fault.abort is None or fault.share >= 100:
        for route in _sticky(service, caller, branch):
            yield edits.joined(route, _settings(failing(fault)))
        return
    drawn = {"runtime_fraction": {"default_value": percent(fault.share)}}
    for route in _sticky(service, caller, branch):
        yield edits.joined(route, {"match": drawn}, _settings(failing(dataclasses.replace(fault, share=100.0))))
    yield from _sticky(service, caller, branch)


def failing(fault: Fault) -> Json:
    """What is switched on for the requests of a route. A connection that is broken off has no status; its tunnel has."""
    share = {"percentage": percent(fault.share)}
    delay = {"delay": {"fixed_delay": documents.seconds(fault.delay)} | share} if fault.delay else {}
    status = _BROKEN_OFF if fault.abort is True else fault.abort
    abort = {"abort": {"http_status": status} | share} if status else {}
    return {chains.FAULT: documents.typed("extensions.filters.http.fault.v3.HTTPFault", **delay, **abort)}


def percent(share: float) -> Json:
    return {"numerator": round(share * 10_000), "denominator": "MILLION"}


def _sticky(service: Service, caller: str, branch: Branch) -> Iterator[Json]:
    """Who brings the cookie of a version goes there, whatever the weights say now; everybody else is given one."""
    sticky = branch.sticky
    if sticky is None:
        yield {"match": matches.compiled(branch.match), "route": _action(service, caller, branch)}
        return
    name = names.version_cookie(sticky.cookie, app=service.app, service=service.name)
    for version, _ in branch.shares:
        match = dataclasses.replace(branch.match, cookie={**branch.match.cookie, name: Pattern(exact=version)})
        chosen = dataclasses.replace(branch, shares=((version, 100.0),))
        yield {"match": matches.compiled(match), "route": _action(service, caller, chosen)}
    given = {version: [_cookie(name, version, sticky)] for version, _ in branch.shares}
    yield {"match": matches.compiled(branch.match), "route": _action(service, caller, branch, given=given)}


def _cookie(name: str, version: str, sticky: Sticky) -> Json:
    value = f"{name}={version}; Max-Age={round(sticky.lasts)}; Path=/; HttpOnly; SameSite=Lax"
    return {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def _action(service: Service, caller: str, branch: Branch, *, given: dict[str, list[Json]] | None = None) -> Json:
    clusters: list[Json] = [
        {
            "name": names.outbound(service.app, caller, service.name, version),
            "weight": max(1, round(weight * 100)),
            **({"response_headers_to_add": given[version]} if given else {}),
        }
        for version, weight in branch.shares
    ]
    is_plain = len(clusters) == 1 and not given
    target: Json = {"cluster": clusters[0]["name"]} if is_plain else {"weighted_clusters": {"clusters": clusters}}
    return {
        **target,
        "timeout": documents.seconds(branch.timeout),
        **_retry(branch.retries),
        **_mirror(service, caller, branch),
        **_rewrite(branch.rewrite, matched=branch.matched),
    }


def _retry(retries: Retries) -> Json:
    if retries.attempts <= 0:
        return {}
    words = retries.on.split(",")
    statuses = [int(word) for word in words if word.isdecimal()]
    words = [word for word in words if not word.isdecimal()] + (["retriable-status-codes"] if statuses else [])
    policy: Json = {
        "retry_on": ",".join(words),
        **({"retriable_status_codes": statuses} if statuses else {}),
        "num_retries": retries.attempts,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.2s"},
    }
    return {
        "retry_policy": policy | ({"per_try_timeout": documents.seconds(retries.per_try)} if retries.per_try else {})
    }


def _mirror(service: Service, caller: str, branch: Branch) -> Json:
    mirror: Mirror | None = branch.mirror
    if mirror is None or branch.shares == ((mirror.version, 100.0),):  # it has the request itself
        return {}
    policy = {
        "cluster": names.outbound(service.app, caller, service.name, mirror.version),
        "runtime_fraction": {"default_value": percent(mirror.share)},
        "disable_shadow_host_suffix_append": True,
    }
    return {"request_mirror_policies": [policy]}


def _rewrite(rewrite: Rewrite | None, *, matched: Pattern | None) -> Json:
    if rewrite is None:
        return {}
    host = {"host_rewrite_literal": rewrite.host} if rewrite.host else {}
    return host | ({"regex_rewrite": _substituted(rewrite.path, matched=matched)} if rewrite.path else {})


def _substituted(path: str, *, matched: Pattern | None) -> Json:
    pattern, instead = replaced(path, matched=matched)
    return {"pattern": {"regex": pattern}, "substitution": instead}


def replaced(path: str, *, matched: Pattern | None) -> tuple[str, str]:
    """(regular expression, substitution): `path` in place of the prefix that the route declares (which need not be the one that this
    door matches), whole segments each: /old -> /new, /old/x -> /new/x, and with / as the new one /old/x -> /x."""
    new = path.rstrip("/")
    if matched is not None and matched.prefix is None:
        pattern, instead = "^.*$", path
    elif prefix := ((matched.prefix if matched else None) or "/").rstrip("/"):
        pattern, instead = f"^{re.escape(prefix)}" + ("" if new else "/*"), new or "/"
    else:
        pattern, instead = "^/", f"{new}/"
    return pattern, instead.replace("\\", r"\\")


def _redirect(redirect: Redirect) -> Json:
    """The query stays, unless the new address has one of its own."""
    parts = urlsplit(redirect.to)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found: Json = {"path_redirect": path, "response_code": _STATUS[redirect.status]}
    if not parts.scheme:
        return found
    port = {"port_redirect": parts.port} if parts.port else {}
    return found | {"scheme_redirect": parts.scheme, "host_redirect": parts.hostname} | port
