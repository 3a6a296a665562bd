"""An application as documents: what a target will be asked to make true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiculturekit.plan import permissions
from aiculturekit.plan.documents import Document
from aiculturekit.spec.models import Application, Health, Job, Match, Need, Resource, Service, Version
from aiculturekit.spec.services import Breaker


def documents(application: Application, *, sources: Mapping[str, str]) -> tuple[Document, ...]:
    """All documents of the application. `sources` maps a directory (as text) to the digest of the code in it."""
    protected = {str(ref) for ref in application.protect}
    return (
        *(_resource(name, resource, protected) for name, resource in application.resources.items()),
        *(_access(application, name, service) for name, service in application.services.items()),
        *(
            document
            for name, service in application.services.items()
            for document in _workloads(name, service, sources)
        ),
        *(_job(name, job, sources) for name, job in application.jobs.items()),
        *(_route(name, service) for name, service in application.services.items()),
        *(_ingress(name, prefix) for name, service in application.services.items() for prefix in service.public),
    )


def _resource(name: str, resource: Resource, protected: set[str]) -> Document:
    body = resource.model_dump(mode="json", exclude_none=True)
    return Document("resource", name, body | {"protected": f"resources/{name}" in protected})


def _access(application: Application, name: str, service: Service) -> Document:
    body = {
        "callers": list(permissions.callers(application, service=name)),
        "versions": list(service.versions),
        "protocol": service.protocol,
    }
    return Document("access", name, body)


def _workloads(name: str, service: Service, sources: Mapping[str, str]) -> Iterator[Document]:
    for version, detail in service.versions.items():
        yield Document("workload", f"{name}/{version}", _workload(service, detail, sources))


def _workload(service: Service, version: Version, sources: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run": version.run or service.run,
        "directory": str(version.directory),
        "source": sources.get(str(version.directory), ""),
        "env": dict(version.env),
        "needs": _needs(service.needs),
        "readiness": _probe(service.health),
        "liveness": _probe(service.liveness),
        "startup": service.startup,
        "grace": service.grace,
        "limits": {"cpu": service.resources.cpu, "memory": service.resources.memory},
        "scale": {
            "min": service.scale.min,
            "max": service.scale.max,
            "rps": service.scale.rps,
            "cpu": service.scale.cpu,
        },
    }


def _job(name: str, job: Job, sources: Mapping[str, str]) -> Document:
    body = {
        "run": job.run,
        "directory": str(job.directory),
        "source": sources.get(str(job.directory), ""),
        "env": dict(job.env),
        "needs": _needs(job.needs),
        "schedule": job.schedule,
        "timeout": job.timeout,
        "retries": job.retries,
        "limits": {"cpu": job.resources.cpu, "memory": job.resources.memory},
    }
    return Document("job", name, body)


def _route(name: str, service: Service) -> Document:
    traffic = service.traffic
    body = {
        "weights": {version: detail.weight for version, detail in service.versions.items()},
        "matches": {v: _match(d.match) for v, d in service.versions.items() if d.match is not None},
        "timeout": traffic.timeout,
        "retries": traffic.retries.model_dump(),
        "breaker": _breaker(traffic.breaker),
    }
    return Document("route", name, body)


def _ingress(name: str, prefix: str) -> Document:
    return Document("ingress", prefix, {"service": name})


def _needs(needs: tuple[Need, ...]) -> list[dict[str, Any]]:
    return [{"kind": need.kind, "name": need.name, "verb": need.verb, "url": need.url} for need in needs]


def _probe(health: Health | None) -> dict[str, Any] | None:
    return None if health is None else health.as_probe()


def _match(match: Match) -> dict[str, Any]:
    return {"headers": dict(match.header), "path": match.path, "method": match.method}


def _breaker(breaker: Breaker | None) -> dict[str, Any]:
    if breaker is None:
        return {}
    return {"errors": breaker.errors / 100, "over": breaker.over, "max_requests": breaker.max_requests}
