"""The images that an application's workloads are made into. Pure.

One for each version of a service and each job that has a command of its own; what names a ready image needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.images.builds import PORT, Recipe
from aiculturekit.spec.models import Application, Service


def recipes(application: Application) -> tuple[Recipe, ...]:
    """In the file's order. The first version of a service is called `APP-SERVICE`, each further one `APP-SERVICE-VERSION`, as in what is
    rendered for a cluster; `document` is the kind and name of the document that wants the image."""
    found = [one for name, service in application.services.items() for one in _service(application, name, service)]
    return (*found, *_jobs(application))


def _service(application: Application, name: str, service: Service) -> Iterator[Recipe]:
    for at, (version, detail) in enumerate(service.versions.items()):
        if detail.image or not detail.run:
            continue
        yield Recipe(
            name=f"{application.app}-{name}-{version}" if at else f"{application.app}-{name}",
            directory=detail.directory,
            run=detail.run,
            port=PORT,
            base=detail.base or service.base or "",
            health=_health(service),
            document=("workload", f"{name}/{version}"),
        )


def _health(service: Service) -> dict[str, Any] | None:
    return service.health.as_probe() | {"startup": service.startup} if service.health else None


def _jobs(application: Application) -> Iterator[Recipe]:
    for name, job in application.jobs.items():
        yield Recipe(
            name=f"{application.app}-{name}",
            directory=job.directory,
            run=job.run,
            port=None,
            base=job.base or "",
            document=("job", name),
        )
