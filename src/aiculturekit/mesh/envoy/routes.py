"""RDS: which request goes to which version, who may make it, how long it may take. Changes under load without a
failed request. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiculturekit.language import say
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.envoy import actions, documents, edits, federation, guards, inbounds, names, permissions, tunnels
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import INGRESS, Caller, Entry, Node, Service
from aiculturekit.mesh.rules import Fault

_LISTED = 30
"""At most this many names in a 404's text, whose size Envoy bounds at 4 KiB."""


def compiled(node: Node) -> Iterator[tuple[str, Json]]:
    """(name, document) of the route tables of the node. The services' own sides have one of their own, since a table that changes
    fills all its rate limits' buckets anew: a shift of weights must not."""
    services = {(service.app, service.name): service for service in node.services if service.protocol != "tcp"}
    inbound = [host for one in services.values() for host in _inbounds(one, trust_domain=node.trust_domain)]
    yield names.INGRESS_ROUTES, documents.bundle([_ingress(node)])
    yield names.INBOUND_ROUTES, documents.bundle([_doored(names.INBOUND_ROUTES, inbound)])
    yield names.MESH_ROUTES, documents.bundle([_doored(names.MESH_ROUTES, _outbound(node, services))])


def _outbound(node: Node, services: Mapping[tuple[str, str], Service]) -> list[Json]:
    needs = [
        _counted(_host(names.need(caller.app, caller.name, target), doors, _split(service, caller=caller.name)))
        for caller in node.callers
        for target in caller.needs
        if (service := services.get((caller.app, target)))
        for doors in [_doors(caller, service)]
    ]
    strangers = [_unneeded(service) for service in services.values() if service.versions]
    apps = sorted({caller.app for caller in node.callers})
    unknown = [_unknown(app, [c for c in node.callers if c.app == app], services.values()) for app in apps]
    return [*needs, *strangers, *unknown, *federation.hosts(node), *tunnels.hosts(node)]


def _doored(name: str, hosts: list[Json]) -> Json:
    """A table in which each listener of the mesh is a virtual host, found by its door."""
    return _table(name, hosts) | {
        "vhost_header": names.DOOR,
        "request_headers_to_remove": [names.DOOR, names.WAY],
        "response_headers_to_remove": [names.LIMIT],
    }


def _inbounds(service: Service, *, trust_domain: str) -> Iterator[Json]:
    """The doors of all versions, which differ in their replicas alone."""
    guard = {permissions.RBAC: permissions.per_route(service, trust_domain=trust_domain)}
    settings = guard | inbounds.settings(service)
    marks = [names.LIMIT, names.TARGET, *([] if service.traffic.balance.client else [names.CLIENT])]
    for version in service.versions:
        name = names.inbound(service.app, service.name, version.name)
        host = _host(name, [name], inbounds.routes(service, version))
        yield host | {"typed_per_filter_config": settings, "request_headers_to_remove": marks}


def _doors(caller: Caller, service: Service) -> list[str]:
    """A need's own port, and its name at the forward proxy."""
    door = names.proxy_door(caller.app, caller.name)
    return [names.need(caller.app, caller.name, service.name), *(f"{door}/{host}" for host in _hosts(service))]


def _hosts(service: Service) -> list[str]:
    return [service.name, f"{service.name}.{service.app}", f"{service.name}.{service.app}.localhost"]


def _unneeded(service: Service) -> Json:
    """Behind the forward proxy of whoever does not need it: the callee's own side says no, as it would on any platform. One for
    all those callers, since one for each pair of workloads would make the table grow with their square."""
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": _ways(service)}, "timeout": "15s"}}
    return _host(f"any/{service.app}/{service.name}", [f"*/{service.app}/{host}" for host in _hosts(service)], [route])


def _ways(service: Service) -> list[Json]:
    """Where nothing but a refusal waits, the first version says it; under audit all take part by their weight."""
    weights = {version.port: max(1, round(version.weight * 100)) for version in service.versions if version.weight > 0}
    chosen = weights if service.access.audit and weights else {service.versions[0].port: 1}
    return [
        {
            "cluster_header": names.WAY,
            "weight": weight,
            "request_headers_to_add": [edits.put(names.TARGET, f"{documents.LOOPBACK}:{port}")],
        }
        for port, weight in chosen.items()
    ]


def _unknown(app: str, callers: Iterable[Caller], services: Iterable[Service]) -> Json:
    listed = sorted(service.name for service in services if service.app == app)
    text = say("No service of this name in {app}. It has: {names}\n", app=app, names=", ".join(listed[:_LISTED]) or "-")
    doors = [f"{names.proxy_door(caller.app, caller.name)}/*" for caller in callers]
    return _host(f"any/{app}", doors, [_answer(404, text)])


def _ingress(node: Node) -> Json:
    services = {(service.app, service.name): service for service in node.services}
    entries = [entry for entry in node.entries if (entry.app, entry.service) in services]
    hosts = [
        _host(app, [f"{app}.localhost"], [*_paths([e for e in entries if e.app == app], services), _nothing(node)])
        for app in sorted({entry.app for entry in entries})
    ]
    bare = _host("bare", ["*"], [*_paths([e for e in entries if e.bare], services), _nothing(node)])
    return _table(names.INGRESS_ROUTES, [*hosts, bare]) | {"response_headers_to_remove": ["server", names.LIMIT]}


def _paths(entries: Iterable[Entry], services: dict[tuple[str, str], Service]) -> list[Json]:
    """The longest prefix wins."""
    return [
        route
        for entry in sorted(entries, key=lambda entry: (-len(entry.prefix.rstrip("/")), entry.prefix, entry.app))
        for route in _entered(services[entry.app, entry.service], entry.prefix)
    ]


def _entered(service: Service, prefix: str) -> list[Json]:
    """A public path: first what needs no token, then the rest."""
    opened = [
        guards.plainly(route)
        for within in guards.open_paths(service, prefix)
        for route in _split(service, caller=INGRESS, prefix=within)
    ]
    rest = _split(service, caller=INGRESS, prefix=prefix)
    return [*guards.put(opened, service, is_open=True), *guards.put(rest, service, is_open=False)]


def _nothing(node: Node) -> Json:
    apps = sorted({entry.app for entry in node.entries})[:_LISTED]
    addresses = "\n".join(f"  http://{app}.localhost:{node.ingress_port}/" for app in apps)
    text = say("No application serves this address. Those that run here:\n{addresses}\n", addresses=addresses or "  -")
    return _answer(404, text)


def _split(service: Service, *, caller: str, prefix: str = "/") -> list[Json]:
    """Only requests from outside have claims."""
    found = branches(_as_called_by(service, caller), within=prefix)
    chosen = [branch for branch in found if caller == INGRESS or not branch.match.claim]
    return [route for branch in chosen for route in actions.compiled(service, caller, branch)]


def _as_called_by(service: Service, caller: str) -> Service:
    """Without the faults that are meant for others."""

    def meant(fault: Fault | None) -> Fault | None:
        return fault if fault and (not fault.callers or caller in fault.callers) else None

    routes = tuple(dataclasses.replace(one, fault=meant(one.fault)) for one in service.traffic.routes)
    traffic = dataclasses.replace(service.traffic, fault=meant(service.traffic.fault), routes=routes)
    return dataclasses.replace(service, traffic=traffic)


def _answer(status: int, text: str) -> Json:
    return {"match": {"prefix": "/"}} | actions.answer(status, text)


def _host(name: str, domains: list[str], routes: list[Json]) -> Json:
    return {"name": name, "domains": domains, "routes": routes}


def _counted(host: Json) -> Json:
    """Count what only reads apart from the rest, so that a need which nobody writes through can be found."""
    return host | {"virtual_clusters": [{"name": "read", "headers": [inbounds.SAFE]}]}


def _table(name: str, hosts: list[Json]) -> Json:
    fields: dict[str, Any] = {"name": name, "virtual_hosts": hosts}
    return documents.typed(
        "config.route.v3.RouteConfiguration", **fields, ignore_port_in_host_matching=True, validate_clusters=False
    )
