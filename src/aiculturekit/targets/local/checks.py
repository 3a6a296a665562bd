"""What this machine cannot do yet, found before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.engine import containers
from aiculturekit.errors import Mistake, Problem
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import kinds
from aiculturekit.resources.servers import Contained
from aiculturekit.spec import secrets
from aiculturekit.spec.backings import Resource
from aiculturekit.spec.models import Application
from aiculturekit.spec.services import Service
from aiculturekit.targets.local import launches

_SECTIONS = ("functions", "topics", "config")


def problems(application: Application, *, is_isolated: bool) -> list[Problem]:
    found = [
        *_sections(application),
        *_resources(application),
        *_services(application),
        *_images(application, is_isolated=is_isolated),
        *_foreign(application),
        *_secrets(application),
    ]
    return [_placed(application, path, message, hint) for path, message, hint in found]


def _sections(application: Application) -> Iterator[tuple[str, str, str]]:
    for section in _SECTIONS:
        for name in getattr(application, section):
            yield (
                f"{section}.{name}",
                say("the target local: cannot run {section} yet", section=section),
                say("leave the section out for now, or run this part as a service"),
            )


def _resources(application: Application) -> Iterator[tuple[str, str, str]]:
    for name, resource in application.resources.items():
        kind = kinds.KINDS.get(resource.type)
        if resource.url or kind is None:
            continue
        try:
            kinds.BACKENDS.load(Locator(resource.type))().tool(_body(resource))
        except Mistake as mistake:
            yield f"resources.{name}.{'version' if resource.version else 'type'}", mistake.message, mistake.hint or ""


def _services(application: Application) -> Iterator[tuple[str, str, str]]:
    for name, service in application.services.items():
        if service.build:
            yield (
                f"services.{name}.build",
                say("the target local: cannot do {key} yet", key="`build:`"),
                say("build it yourself and name it with `image:`, or use `run:` with a command"),
            )
        if service.prepares:
            yield from _migration(name, service)


def _images(application: Application, *, is_isolated: bool) -> Iterator[tuple[str, str, str]]:
    obstacle = containers.obstacle()
    for path, instead in _named(application):
        if not is_isolated:
            hint = say("run the daemon as root on Linux, without AIC_ISOLATION=off; or {instead}", instead=instead)
            yield path, say("an image runs in a network of its own only, and there is none here"), hint
        elif obstacle:
            hint = say(
                "install it: apt-get install crun, dnf install crun, apk add crun; or {instead}", instead=instead
            )
            yield path, obstacle, hint


def _named(application: Application) -> Iterator[tuple[str, str]]:
    """Where the file names an image that is to run, and what to write instead."""
    command = say("use `run:` with a command")
    for name, service in application.services.items():
        if service.image:
            yield f"services.{name}.image", command
        for v, d in service.versions.items():
            if d.image and not service.image:
                yield f"services.{name}.versions.{v}.image", command
    for name, resource in application.resources.items():
        if not resource.url and resource.type in kinds.BACKENDS.schemes and _is_contained(resource):
            scheme = kinds.KINDS[resource.type].scheme
            server = say("name a server of yours: url: {scheme}://USER:PASSWORD@HOST/NAME", scheme=scheme)
            yield f"resources.{name}.{'image' if resource.image else 'type'}", server


def _is_contained(resource: Resource) -> bool:
    server = kinds.BACKENDS.load(Locator(resource.type))()
    return isinstance(server, Contained) and bool(server.image(_body(resource)))


def _body(resource: Resource) -> dict[str, str | None]:
    return {"version": resource.version, "image": resource.image}


def _migration(name: str, service: Service) -> Iterator[tuple[str, str, str]]:
    path = f"services.{name}.{'migrate' if service.migrate else 'seed'}"
    if not any(need.kind == "resources" for need in service.needs):
        yield (
            path,
            say("{service} needs no resource that it could migrate", service=name),
            say("name it: needs: [resources/NAME]"),
        )
    if launches.MIGRATION in service.versions:
        yield (
            path,
            say("its migration runs under the name {version}, which is a version of it", version=launches.MIGRATION),
            say("give the version another name"),
        )


def _secrets(application: Application) -> Iterator[tuple[str, str, str]]:
    """What is left of them by now are a cluster's."""
    hint = say("say it in an environment whose target is a cluster; here write ${env.NAME}")
    listed = {f"services.{name}": service.env for name, service in application.services.items()}
    listed |= {f"jobs.{name}": job.env for name, job in application.jobs.items()}
    for name, service in application.services.items():
        for version, detail in service.versions.items():  # with what all of them have
            own = detail.env.items() - service.env.items()
            listed[f"services.{name}.versions.{version}"] = dict(own)
    for path, env in listed.items():
        for variable, text in env.items():
            if secrets.is_one(text):
                yield f"{path}.env.{variable}", say("only in a cluster a variable is filled in from a Secret"), hint


def _foreign(application: Application) -> Iterator[tuple[str, str, str]]:
    """What the gateway cannot do: better said than not done."""
    for name, service in application.services.items():
        keys = [key for key in ("limit", "max_body") if getattr(service.traffic, key)]
        keys += ["routes.limit"] if any(route.limit for route in service.traffic.routes) else []
        if not service.access.foreign:
            continue
        if service.protocol == "tcp":
            keys = ["protocol: tcp"]
        for key in keys:
            message = say("the target local: calls from other nodes cannot have {key} yet", key=key)
            yield (
                f"services.{name}.access.foreign",
                message,
                say("put a service of yours between, which other nodes call"),
            )


def _placed(application: Application, path: str, message: str, hint: str) -> Problem:
    line, column = application.place(path)
    return Problem(path, message, hint, file=str(application.file), line=line, column=column)
