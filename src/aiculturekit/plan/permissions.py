"""Who may talk to whom. One list, `needs`, is the source of the environment, the mesh's rules and later of every ACL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from aiculturekit.spec.models import Application, Service

INGRESS = "ingress"


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """`source` may `verb` the `target` of a kind; `path` is the key path of the line that says so."""

    source: str
    kind: str
    target: str
    verb: str
    path: str


def grants(application: Application) -> tuple[Grant, ...]:
    """Every grant of the application, in the file's order; a `public` service is one that the ingress may call."""
    found: list[Grant] = []
    for name, service in application.services.items():
        found += [Grant(INGRESS, "services", name, "call", f"services.{name}.public")] if service.public else []
        found += _asked(name, service)
        found += [Grant(name, need.kind, need.name, need.verb, f"services.{name}.needs") for need in service.needs]
    for name, job in application.jobs.items():
        found += [Grant(name, need.kind, need.name, need.verb, f"jobs.{name}.needs") for need in job.needs]
    return tuple(found)


def _asked(name: str, service: Service) -> list[Grant]:
    """A service that is asked about requests to another one is asked by the ingress."""
    target = service.access.check.service if service.access.check else None
    return [Grant(INGRESS, "services", target, "call", f"services.{name}.access.check")] if target else []


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """An application's grants by what they are for: kind and name -> those of it, in the file's order."""

    application: Application
    grants: Mapping[tuple[str, str], Sequence[Grant]] = dataclasses.field(hash=False)


def table(application: Application) -> Table:
    """Made once and asked often: a thousand services have thousands of grants."""
    found: dict[tuple[str, str], list[Grant]] = {}
    for grant in grants(application):
        found.setdefault((grant.kind, grant.target), []).append(grant)
    return Table(application, found)


def callers(given: Table, *, service: str) -> tuple[str, ...]:
    """The workloads (and INGRESS) that may call the service, sorted."""
    return tuple(sorted({grant.source for grant in given.grants.get(("services", service), ())}))


def users(given: Table, *, resource: str) -> list[list[str]]:
    """[workload, verb] of everybody who needs the resource, sorted; a service's migration is somebody of its own."""
    application, mine = given.application, given.grants.get(("resources", resource), ())
    found = {(g.source, g.verb) for g in mine}
    found |= {
        (migrating(g.source), "admin")
        for g in mine
        if g.source in application.services and application.services[g.source].prepares
    }
    return [list(pair) for pair in sorted(found)]


def migrating(service: str) -> str:
    """Who the service's migration is: no name in a file has a dot."""
    return f"{service}.migrate"


def operations(given: Table, *, service: str) -> dict[str, list[list[str]]]:
    """Caller -> all that it may do with the service, [method, path] each, for callers that may not do everything."""
    workloads = {**given.application.services, **given.application.jobs}
    found = {
        caller: [list(operation) for operation in need.operations]
        for caller in callers(given, service=service)
        if caller in workloads
        for need in workloads[caller].needs
        if (need.kind, need.name) == ("services", service) and need.operations
    }
    return dict(sorted(found.items()))
