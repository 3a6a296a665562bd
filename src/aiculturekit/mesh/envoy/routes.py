"""RDS: which request goes to which version, who may make it, how long it may take. Changes under load without a
failed request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh.branches import Branch, branches
from aiculturekit.mesh.envoy import documents, matches, names, permissions
from aiculturekit.mesh.envoy.documents import TEXT, Json
from aiculturekit.mesh.nodes import INGRESS, Caller, Entry, Node, Service, Version
from aiculturekit.mesh.rules import Retries

_SAFE_METHOD: Json = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
_UNSENT = "connect-failure,refused-stream,reset-before-request"
_LISTED = 30
"""At most this many names in a 404's text, whose size Envoy bounds at 4 KiB."""


def compiled(node: Node) -> Iterator[tuple[str, Json]]:
    """(name, document) of both route tables of the node."""
    yield names.INGRESS_ROUTES, documents.bundle([_ingress(node)])
    yield names.MESH_ROUTES, documents.bundle([_mesh(node)])


def _mesh(node: Node) -> Json:
    """Each listener of the mesh is a virtual host of this table, found by its door."""
    services = {(service.app, service.name): service for service in node.services if service.protocol != "tcp"}
    inbound = [_inbound(s, v, trust_domain=node.trust_domain) for s in services.values() for v in s.versions]
    needs = [
        _counted(_host(name, [name], _split(services[caller.app, target], caller=caller.name)))
        for caller in node.callers
        for target in caller.needs
        if (caller.app, target) in services
        for name in [names.need(caller.app, caller.name, target)]
    ]
    proxies = [
        host
        for caller in node.callers
        for host in _proxy(caller, [service for service in services.values() if service.app == caller.app])
    ]
    table = _table(names.MESH_ROUTES, [*inbound, *needs, *proxies])
    return table | {"vhost_header": names.DOOR, "request_headers_to_remove": [names.DOOR]}


def _inbound(service: Service, version: Version, *, trust_domain: str) -> Json:
    """A replica that dies under a request: the next one is tried, where nothing was sent yet or the method is safe (RFC
    9110, 9.2.2)."""
    name = names.inbound(service.app, service.name, version.name)
    action = {"cluster": name, "timeout": "0s"}
    retry = {
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        "retry_host_predicate": [
            documents.extension(
                "retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        # A dead replica has the fewest requests under way, so it is drawn again and again: three times out of four with two.
        "host_selection_retry_max_attempts": 32,
    }
    routes: list[Json] = [
        {
            "match": {"prefix": "/", "headers": [_SAFE_METHOD]},
            "route": action | {"retry_policy": retry | {"retry_on": f"{_UNSENT},reset"}},
        },
        {"match": {"prefix": "/"}, "route": action | {"retry_policy": retry | {"retry_on": _UNSENT}}},
    ]
    allowed = {permissions.RBAC: permissions.per_route(service, trust_domain=trust_domain)}
    return _host(name, [name], routes) | {"typed_per_filter_config": allowed}


def _proxy(caller: Caller, known: Iterable[Service]) -> list[Json]:
    door = names.proxy(caller.app, caller.name)
    listed = sorted(known, key=lambda service: service.name)
    hosts = [_towards(one, caller, _hosts(door, one)) for one in listed]
    text = say(
        "No service of this name in {app}. It has: {names}\n",
        app=caller.app,
        names=", ".join(service.name for service in listed[:_LISTED]) or "-",
    )
    return [*hosts, _host(f"{door}/*", [f"{door}/*"], [_answer(404, text)])]


def _hosts(door: str, service: Service) -> list[str]:
    name = f"{door}/{service.name}"
    return [name, f"{name}.{service.app}", f"{name}.{service.app}.localhost"]


def _towards(service: Service, caller: Caller, domains: list[str]) -> Json:
    name = domains[0]
    if service.name in caller.needs:
        return _counted(_host(name, domains, _split(service, caller=caller.name)))
    chosen = {"filter_metadata": {"envoy.lb": {"service": service.name}}}
    action = {"cluster": names.unneeded(caller.app, caller.name), "metadata_match": chosen, "timeout": "15s"}
    return _host(name, domains, [{"match": {"prefix": "/"}, "route": action}])


def _ingress(node: Node) -> Json:
    services = {(service.app, service.name): service for service in node.services}
    entries = [entry for entry in node.entries if (entry.app, entry.service) in services]
    hosts = [
        _host(app, [f"{app}.localhost"], [*_paths([e for e in entries if e.app == app], services), _nothing(node)])
        for app in sorted({entry.app for entry in entries})
    ]
    bare = _host("bare", ["*"], [*_paths([e for e in entries if e.bare], services), _nothing(node)])
    return _table(names.INGRESS_ROUTES, [*hosts, bare]) | {"response_headers_to_remove": ["server"]}


def _paths(entries: Iterable[Entry], services: dict[tuple[str, str], Service]) -> list[Json]:
    """The longest prefix wins."""
    return [
        route
        for entry in sorted(entries, key=lambda entry: (-len(entry.prefix.rstrip("/")), entry.prefix, entry.app))
        for route in _split(services[entry.app, entry.service], caller=INGRESS, prefix=entry.prefix)
    ]


def _nothing(node: Node) -> Json:
    apps = sorted({entry.app for entry in node.entries})[:_LISTED]
    addresses = "\n".join(f"  http://{app}.localhost:{node.ingress_port}/" for app in apps)
    text = say("No application serves this address. Those that run here:\n{addresses}\n", addresses=addresses or "  -")
    return _answer(404, text)


def _split(service: Service, *, caller: str, prefix: str = "/") -> list[Json]:
    return [_branch(service, caller, branch) for branch in branches(service, within=prefix)]


def _branch(service: Service, caller: str, branch: Branch) -> Json:
    match = matches.compiled(branch.match)
    if not branch.shares:
        text = say("{service} has no version that takes requests now\n", service=service.name)
        return {"match": match} | _answer_action(503, text)
    return {"match": match, "route": _action(service, caller, branch)}


def _action(service: Service, caller: str, branch: Branch) -> Json:
    clusters = [
        (names.outbound(service.app, caller, service.name, version), max(1, round(weight * 100)))
        for version, weight in branch.shares
    ]
    if len(clusters) == 1:
        target: Json = {"cluster": clusters[0][0]}
    else:
        target = {"weighted_clusters": {"clusters": [{"name": name, "weight": weight} for name, weight in clusters]}}
    return target | {"timeout": documents.seconds(branch.timeout)} | _retry(branch.retries)


def _retry(retries: Retries) -> Json:
    if retries.attempts <= 0:
        return {}
    policy: Json = {
        "retry_on": retries.on,
        "num_retries": retries.attempts,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.2s"},
    }
    return {
        "retry_policy": policy | ({"per_try_timeout": documents.seconds(retries.per_try)} if retries.per_try else {})
    }


def _answer(status: int, text: str) -> Json:
    return {"match": {"prefix": "/"}} | _answer_action(status, text)


def _answer_action(status: int, text: str) -> Json:
    header = {"header": {"key": "content-type", "value": TEXT}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [header],
    }


def _host(name: str, domains: list[str], routes: list[Json]) -> Json:
    return {"name": name, "domains": domains, "routes": routes}


def _counted(host: Json) -> Json:
    """Count what only reads apart from the rest, so that a need which nobody writes through can be found."""
    return host | {"virtual_clusters": [{"name": "read", "headers": [_SAFE_METHOD]}]}


def _table(name: str, hosts: list[Json]) -> Json:
    fields: dict[str, Any] = {"name": name, "virtual_hosts": hosts}
    return documents.typed(
        "config.route.v3.RouteConfiguration", **fields, ignore_port_in_host_matching=True, validate_clusters=False
    )
