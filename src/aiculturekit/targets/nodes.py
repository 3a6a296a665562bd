"""Documents in force -> the node that the mesh must be. Pure.

Permissions widen early and narrow late: a caller stays allowed for as long as any document in force still needs it, so that
a rolling deployment never meets a door that closed before the last process that uses it is gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, cast

from aiculturekit.mesh import records
from aiculturekit.mesh.envoy import egresses
from aiculturekit.mesh.nodes import USUAL_PORTS, Caller, Egress, Entry, Node, Realm, Remote, Service, Tracing, Version
from aiculturekit.mesh.rules import Access, Match, Traffic
from aiculturekit.plan.documents import Document
from aiculturekit.resources.kinds import KINDS
from aiculturekit.resources.outputs import standing

_ALONE = Realm()
Asked = list[tuple[str, list[tuple[str, str]]]]
"""(caller, what it wants to do), of one service."""
Applications = Mapping[str, Sequence[Document]]
"""application -> its documents in force; the order of the applications decides who serves a path on the bare host."""


_SHARED: Mapping[tuple[str, str], str] = MappingProxyType({})
_NONE: Mapping[str, tuple[str, int]] = MappingProxyType({})
_LOOPBACK = "127.0.0.1"
_CLOSED: Mapping[str, Any] = {"callers": [], "operations": {}, "access": {}, "protocol": "http"}
"""The access of what runs before, or still after, its own access document."""
RUNNING = ("workload", "job", "migration")
"""Kinds of documents that have processes with needs; a migration is the service's that it is named after."""
SERVER_VERSION = "v1"
"""The version that a resource's server has."""


def inbound(app: str, service: str, version: str) -> str:
    return f"{app}/{service}/{version}/in"


def outbound(app: str, caller: str, target: str) -> str:
    return f"{app}/{caller}/out/{target}"


def proxy(app: str, caller: str) -> str:
    return f"{app}/{caller}/proxy"


def remote(app: str, caller: str, target: Remote) -> str:
    return f"{app}/{caller}/far/{target.domain}/{target.app}/{target.service}"


def remote_of(url: str) -> Remote:
    """`mesh://domain/app/service`, which the loader has let through."""
    return Remote(*url.removeprefix("mesh://").split("/"))


def is_in_sight(name: str, *, is_isolated: bool) -> bool:
    """Whether the port of this name is one of the machine's own loopback."""
    return name.endswith("/in") if is_isolated else "/" in name


def caller_of(name: str) -> tuple[str, str] | None:
    """(application, workload) that is told the port of this name; None where it is between Envoy and Envoy."""
    app, _, rest = name.partition("/")
    caller, _, kind = rest.partition("/")
    return (app, caller) if kind.partition("/")[0] in ("out", "proxy", "far") else None


def port_names(applications: Applications) -> list[str]:
    """The names of all the ports that `node` looks up."""
    names: list[str] = []
    for app, documents in applications.items():
        names += [inbound(app, service, version) for service, version in _versions(documents)]
        for caller, needs in _callers(documents).items():
            names += [proxy(app, caller), *(outbound(app, caller, target) for target in needs)]
        names += [remote(app, caller, target) for caller, target in _remotes(documents)]
    return names


def workloads(applications: Applications) -> list[tuple[str, str]]:
    """(application, workload) of everything that runs or is about to."""
    return sorted(
        (app, name)
        for app, documents in applications.items()
        for name in {*_callers(documents), *(service for service, _ in _versions(documents))}
    )


def node(
    applications: Applications,
    *,
    ports: Mapping[str, int],
    ingress_port: int,
    realm: Realm = _ALONE,
    tracing: Tracing | None = None,
    namespaces: Mapping[tuple[str, str], str] = _SHARED,
    stand_ins: Mapping[str, tuple[str, int]] = _NONE,
) -> Node:
    """`namespaces` has the file that keeps a workload's network namespace, for those that have one; `stand_ins` has the (host, port)
    that answers in the place of what lies outside, by the need that names it."""
    return Node(
        ingress_port=ingress_port,
        trust_domain=realm.domain,
        neighbours=realm.neighbours,
        gateway=realm.gateway,
        tracing=tracing,
        services=tuple(
            _living(service, namespaces.get((app, service.name)))
            for app, documents in applications.items()
            for service in _services(app, documents, ports)
        ),
        callers=tuple(
            Caller(
                app,
                name,
                proxy=ports[proxy(app, name)],
                needs={t: ports[outbound(app, name, t)] for t in needs},
                remotes={t: ports[remote(app, name, t)] for caller, t in _remotes(documents) if caller == name},
                namespace=namespaces.get((app, name)),
            )
            for app, documents in applications.items()
            for name, needs in _callers(documents).items()
        ),
        entries=tuple(entries(applications)),
        egresses=tuple(
            dataclasses.replace(egress, stand_in=stand_ins.get(egress.need))
            for app, documents in applications.items()
            for egress in _egresses(app, documents)
        ),
    )


def names(node: Node, caller: Caller) -> dict[str, str]:
    """Every host name that the workload may know, with its address on the workload's own loopback."""
    found = {
        f"{need}{rest}": _LOOPBACK
        for need in caller.needs
        for rest in ("", f".{caller.app}", f".{caller.app}.localhost")
    }
    outside = egresses.loopbacks(node, caller)
    return found | {
        host: at for host, at in outside.items() if not (host.startswith("*") or host == at or at == _LOOPBACK)
    }


def addresses(node: Node, caller: Caller) -> list[str]:
    """The numbers among what the workload may reach outside, which must be its loopback's own."""
    return sorted(host for host, at in egresses.loopbacks(node, caller).items() if host == at != _LOOPBACK)


def _living(service: Service, namespace: str | None) -> Service:
    versions = tuple(dataclasses.replace(version, namespace=namespace) for version in service.versions)
    return dataclasses.replace(service, versions=versions)


def _of_kind(documents: Iterable[Document], kind: str) -> dict[str, Document]:
    return {document.name: document for document in documents if document.kind == kind}


def _versions(documents: Sequence[Document]) -> list[tuple[str, str]]:
    """(service, version) of everything that runs or is about to. A resource's server has one version."""
    servers = [(name, SERVER_VERSION) for name in _of_kind(documents, "server")]
    declared = [(name, v) for name, access in _of_kind(documents, "access").items() for v in access.body["versions"]]
    running = [(service, v) for service, _, v in (name.partition("/") for name in _of_kind(documents, "workload"))]
    return sorted({*servers, *declared, *running})


def _callers(documents: Sequence[Document]) -> dict[str, list[str]]:
    """workload -> the services and the resources' servers that it needs, over all its versions."""
    servers = _of_kind(documents, "server")
    found: dict[str, set[str]] = {}
    for document in documents:
        if document.kind in RUNNING:
            needs = {need["name"] for need in document.body["needs"] if _is_called(need, servers)}
            found.setdefault(document.name.partition("/")[0], set()).update(needs)
    return {name: sorted(needs) for name, needs in sorted(found.items())}


def _is_called(need: Mapping[str, Any], servers: Mapping[str, Document]) -> bool:
    return need["kind"] == "services" or (need["kind"] == "resources" and need["name"] in servers)


def _remotes(documents: Sequence[Document]) -> list[tuple[str, Remote]]:
    """(workload, the service of another node that it needs), over all its versions."""
    found = {
        (document.name.partition("/")[0], remote_of(need["url"]))
        for document in documents
        if document.kind in RUNNING
        for need in document.body["needs"]
        if need["kind"] == "mesh"
    }
    return sorted(found, key=lambda pair: (pair[0], pair[1].domain, pair[1].app, pair[1].service))


def _egresses(app: str, documents: Sequence[Document]) -> list[Egress]:
    """What the needs of all versions of a workload name outside of every application, sorted: an address, or a resource that stands
    at one."""
    elsewhere = {name: one.body for name, one in _of_kind(documents, "resource").items() if one.body.get("url")}
    needs = [
        (document.name.partition("/")[0], need)
        for document in documents
        if document.kind in RUNNING
        for need in document.body["needs"]
    ]
    found = {_egress(app, caller, need["url"]) for caller, need in needs if need["kind"] == "external"} | {
        Egress(app, caller, "tcp", host, port)
        for caller, need in needs
        if need["kind"] == "resources" and need["name"] in elsewhere
        for host, port in standing(elsewhere[need["name"]]["type"], elsewhere[need["name"]]["url"])
    }
    return sorted(found, key=lambda egress: (egress.caller, egress.scheme, egress.host, egress.port))


def _egress(app: str, caller: str, url: str) -> Egress:
    """An address that the loader has let through: `scheme://host[:port][/path]`, of which the path permits nothing."""
    scheme, _, rest = url.lower().partition("://")
    host, _, port = rest.partition("/")[0].partition(":")
    return Egress(
        app, caller, cast(Literal["https", "http", "tcp"], scheme), host, int(port) if port else USUAL_PORTS[scheme]
    )


def _services(app: str, documents: Sequence[Document], ports: Mapping[str, int]) -> Iterator[Service]:
    accesses, routes, ways = (_of_kind(documents, kind) for kind in ("access", "route", "traffic"))
    servers = _of_kind(documents, "server")
    needed_by: dict[str, list[str]] = {}
    for caller, needs in _callers(documents).items():
        for need in needs:
            needed_by.setdefault(need, []).append(caller)
    asked = _asked(documents)
    versions: dict[str, list[str]] = {}
    for service, version in _versions(documents):
        versions.setdefault(service, []).append(version)
    for name, names in versions.items():
        access: Mapping[str, Any] = accesses[name].body if name in accesses else _CLOSED
        callers = {*access["callers"], *needed_by.get(name, ())}
        route = (
            routes[name].body if name in routes else _unrouted(names) | dict(ways[name].body if name in ways else {})
        )
        yield Service(
            app,
            name,
            versions=tuple(_version(app, name, version, route, ports) for version in names),
            callers=tuple(sorted(callers)),
            operations=_operations(name, access, asked),
            traffic=records.read(Traffic, route["traffic"]),
            access=records.read(Access, access["access"]),
            protocol=KINDS[servers[name].body["type"]].protocol if name in servers else access["protocol"],
        )


def _unrouted(versions: Sequence[str]) -> dict[str, Any]:
    """Before its first route a service's first version gets everything."""
    return {"weights": {versions[0]: 100.0}, "matches": {}, "traffic": {}}


def _operations(
    name: str, access: Mapping[str, Any], asked: Mapping[str, Asked]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Caller -> the only things it may do. As wide as any document in force: what some process still needs is not narrowed."""
    allowed: dict[str, set[tuple[str, str]]] = {
        caller: {(method, path) for method, path in listed} for caller, listed in access["operations"].items()
    }
    for caller, operations in asked.get(name, ()):
        if caller in allowed:
            allowed[caller] |= set(operations)
    return {caller: tuple(sorted(listed)) for caller, listed in sorted(allowed.items()) if ("", "") not in listed}


def _asked(documents: Sequence[Document]) -> dict[str, Asked]:
    """Service -> what the documents in force want to do with it."""
    found: dict[str, Asked] = {}
    for document in documents:
        if document.kind in RUNNING:
            caller = document.name.partition("/")[0]
            for need in document.body["needs"]:
                if need["kind"] == "services":
                    listed = [(method, path) for method, path in need["operations"]] or [("", "")]
                    found.setdefault(need["name"], []).append((caller, listed))
    return found


def _version(app: str, service: str, version: str, route: Mapping[str, Any], ports: Mapping[str, int]) -> Version:
    match = route["matches"].get(version)
    return Version(
        version,
        port=ports[inbound(app, service, version)],
        weight=route["weights"].get(version, 0.0),
        match=records.read(Match, match) if match else None,
    )


def entries(applications: Applications) -> Iterator[Entry]:
    """Public paths: each on its application's own host name, and on the bare host for who came first."""
    taken: set[str] = set()
    for app, documents in applications.items():
        for prefix, document in sorted(_of_kind(documents, "ingress").items()):
            yield Entry(app, prefix, document.body["service"], bare=prefix not in taken)
            taken.add(prefix)
