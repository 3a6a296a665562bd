"""An application as documents: what a target will be asked to make true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiculturekit.plan import permissions
from aiculturekit.plan.documents import Document
from aiculturekit.plan.permissions import Table
from aiculturekit.spec.access import Access
from aiculturekit.spec.models import Application, Health, Job, Need, Resource, Service, Version

FILES = ("sqlite", "volume")
"""Types that are files of the machine."""
_WITH_A_LOG = ("postgres",)
"""Types whose servers hand over a log with which a backup can be brought to any later moment."""


def documents(
    application: Application, *, sources: Mapping[str, str], files: Mapping[str, str] = MappingProxyType({})
) -> tuple[Document, ...]:
    """All documents of the application. `sources` maps a directory (as text) to the digest of the code in it, `files` each of
    `named_files` to its text."""
    protected = {str(ref) for ref in application.protect}
    granted = permissions.table(application)
    return (
        *(_resource(name, resource, protected) for name, resource in application.resources.items()),
        *(
            _server(granted, name, resource, sources)
            for name, resource in application.resources.items()
            if is_played(resource)
        ),
        *(_access(granted, name, service, files) for name, service in application.services.items()),
        *(_migration(name, service, sources) for name, service in application.services.items() if service.prepares),
        *(
            _told(document, application)
            for name, service in application.services.items()
            for document in _workloads(name, service, sources)
        ),
        *(_told(_job(name, job, sources), application) for name, job in application.jobs.items()),
        *(
            Document("traffic", name, {"traffic": resource.traffic.model_dump(mode="json", exclude_none=True)})
            for name, resource in application.resources.items()
            if is_played(resource) and resource.traffic
        ),
        *(_route(name, service) for name, service in application.services.items()),
        *(_ingress(name, prefix) for name, service in application.services.items() for prefix in service.public),
    )


def _resource(name: str, resource: Resource, protected: set[str]) -> Document:
    body = resource.model_dump(mode="json", exclude_none=True, exclude={"traffic"})
    return Document("resource", name, body | {"protected": f"resources/{name}" in protected})


def is_played(resource: Resource) -> bool:
    """Whether a process of ours is the resource: not a file, and not a server that stands elsewhere."""
    return resource.type not in FILES and resource.url is None


def _server(granted: Table, name: str, resource: Resource, sources: Mapping[str, str]) -> Document:
    """The process beside the data: what it must be restarted for, and who may use it."""
    body = resource.model_dump(mode="json", exclude_none=True, exclude={"backup", "url", "health", "source", "traffic"})
    if resource.image:
        body |= {"directory": str(resource.directory)}
    if resource.run:
        body |= {"directory": str(resource.directory), "probe": _probe(resource.health)}
    if resource.source is not None:
        body |= {"source": sources.get(str(resource.directory), "")}
    if resource.backup and resource.type in _WITH_A_LOG:
        body |= {"archive": True}
    return Document("server", name, body | {"users": permissions.users(granted, resource=name)})


def named_files(application: Application) -> dict[str, Path]:
    """The files beside the application file whose text becomes part of a document: what is in force is what was read."""
    named = [
        jwt.jwks for service in application.services.values() for jwt in service.access.jwt if "://" not in jwt.jwks
    ]
    return {name: application.directory / name for name in named}


def _access(granted: Table, name: str, service: Service, files: Mapping[str, str]) -> Document:
    body = {
        "callers": list(permissions.callers(granted, service=name)),
        "versions": list(service.versions),
        "operations": permissions.operations(granted, service=name),
        "access": _record(service.access, files),
        "protocol": service.protocol,
    }
    return Document("access", name, body)


def _record(access: Access, files: Mapping[str, str]) -> dict[str, Any]:
    body = access.model_dump(mode="json")
    for jwt in body["jwt"]:
        jwt["jwks"] = files.get(jwt["jwks"], jwt["jwks"])
    if access.check:
        body["check"]["service"] = access.check.service
    return body


def _workloads(name: str, service: Service, sources: Mapping[str, str]) -> Iterator[Document]:
    for version, detail in service.versions.items():
        yield Document("workload", f"{name}/{version}", _workload(service, detail, sources))


def _workload(service: Service, version: Version, sources: Mapping[str, str]) -> dict[str, Any]:
    image = version.image or service.image
    return {
        "run": version.run or service.run,
        "directory": str(version.directory),
        "source": "" if image else sources.get(str(version.directory), ""),
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
        **({"zones": list(service.traffic.zones)} if service.traffic.zones else {}),
        **({"image": image} if image else {}),
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


def _told(document: Document, application: Application) -> Document:
    """With a digest of what the file says that its resources give it: where that changes, it is told anew."""
    needed = [need["name"] for need in document.body["needs"] if need["kind"] == "resources"]
    gifts = {name: digest for name in needed if (digest := _gift(application.resources[name]))}
    return Document(document.kind, document.name, {**document.body, "gifts": gifts}) if gifts else document


def _gift(resource: Resource) -> str:
    """Empty where all that is given follows from the name."""
    body = resource.model_dump(mode="json", include={"url", "outputs", "databases"}, exclude_defaults=True)
    body |= {"bucket": resource.buckets[0]} if resource.buckets else {}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16] if body else ""


def _migration(name: str, service: Service, sources: Mapping[str, str]) -> Document:
    """What a service does to its data before it runs: with the service's own needs, but as an administrator of its resources."""
    needs = [need | {"verb": "admin"} if need["kind"] == "resources" else need for need in _needs(service.needs)]
    first = next(iter(service.versions.values()), None)
    image = (first.image if first else None) or service.image
    body = {
        "run": service.migrate.model_dump(mode="json") if service.migrate else None,
        "seed": service.seed.model_dump(mode="json") if service.seed else None,
        "directory": str(service.directory),
        "source": image or sources.get(str(service.directory), ""),
        "env": dict(service.env),
        "needs": needs,
        "limits": {"cpu": service.resources.cpu, "memory": service.resources.memory},
        **({"image": image} if image else {}),
    }
    return Document("migration", name, body)


def _route(name: str, service: Service) -> Document:
    matches = {v: d.match for v, d in service.versions.items() if d.match is not None}
    body = {
        "weights": {version: detail.weight for version, detail in service.versions.items()},
        "matches": {v: match.model_dump(mode="json") for v, match in matches.items()},
        "traffic": service.traffic.model_dump(mode="json"),
    }
    return Document("route", name, body)


def _ingress(name: str, prefix: str) -> Document:
    return Document("ingress", prefix, {"service": name})


def _needs(needs: tuple[Need, ...]) -> list[dict[str, Any]]:
    return [need.model_dump(mode="json") for need in needs]


def _probe(health: Health | None) -> dict[str, Any] | None:
    return None if health is None else health.as_probe()
