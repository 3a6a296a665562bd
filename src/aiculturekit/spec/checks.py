"""What no single key shows: references to nothing, weights, routes, names, directories. Asks the disk only whether a path is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from aiculturekit.language import say
from aiculturekit.spec import faults, needs, references, rules, secrets, stores
from aiculturekit.spec.models import NAME, SECTIONS, File
from aiculturekit.spec.services import Runnable, Service
from aiculturekit.spec.texts import Path as KeyPath

Finding = tuple[KeyPath, str, str]
"""(key path, message, hint)."""


_SHARED = ("services", "functions", "jobs", "resources")
"""Sections whose names are one set: each is an identity in the mesh."""


def findings(file: File, *, directory: Path) -> Iterator[Finding]:
    yield from _names(file)
    yield from _protected(file)
    yield from _routes(file)
    for section, name, workload in _workloads(file):
        yield from _needs(file, section, name, workload)
        yield from _references(file, section, name, workload)
        yield from _place(directory, (section, name, "source"), workload.source)
    for name, service in file.services.items():
        yield from _service(name, service)
        yield from _versions(directory, name, service)
        yield from rules.findings(name, service, directory=directory)
        yield from _asked(file, name, service)
    for name, function in file.functions.items():
        for at, trigger in enumerate(function.on):
            if trigger.topic and trigger.topic not in file.topics:
                yield ("functions", name, "on", at), *_nothing("topics", trigger.topic, list(file.topics))
            if sum(bool(way) for way in (trigger.topic, trigger.http, trigger.cron)) != 1:
                yield ("functions", name, "on", at), say("must say one thing: topics/NAME, http or cron"), ""
    for name, resource in file.resources.items():
        yield from stores.findings(name, resource)
        yield from _place(directory, ("resources", name, "source"), resource.source)
    yield from faults.findings(file)
    yield from _files(file, directory)


def _workloads(file: File) -> Iterator[tuple[str, str, Runnable]]:
    for section in ("services", "functions", "jobs"):
        for name, workload in getattr(file, section).items():
            yield section, name, workload


def _asked(file: File, name: str, service: Service) -> Iterator[Finding]:
    """The service that a check names must be there, and speak HTTP."""
    target = service.access.check.service if service.access.check else None
    path: KeyPath = ("services", name, "access", "check")
    if target and target not in file.services:
        hint = say("write http://NAME:PORT for an address that is not a service of this application")
        yield path, say("there is no service {name}", name=target), hint
    elif target and file.services[target].protocol == "tcp":
        yield path, say("{name} speaks tcp and cannot be asked over HTTP", name=target), ""


def _names(file: File) -> Iterator[Finding]:
    hint = say("use small letters, digits and hyphens, at most 40, starting with a letter")
    if not re.fullmatch(NAME, file.app):
        yield ("app",), say("{name} is not a name", name=repr(file.app[:60])), hint
    for section in SECTIONS:
        for name in getattr(file, section):
            if not re.fullmatch(NAME, name):
                yield (section, name), say("{name} is not a name", name=repr(name[:60])), hint
            elif name == "ingress" and section in _SHARED:
                yield (section, name), say("ingress is the platform's own name"), say("call it something else")
    seen: dict[str, str] = {}
    for section, name in ((shared, name) for shared in _SHARED for name in getattr(file, shared)):
        if name in seen:
            message = say("{name} is already the name of one of the {section}", name=name, section=seen[name])
            hint = say("workloads and resources share one set of names; call one of them something else")
            yield (section, name), message, hint
        seen[name] = section


def _protected(file: File) -> Iterator[Finding]:
    for at, reference in enumerate(file.protect):
        section, _, name = reference.partition("/")
        if section not in SECTIONS or name not in getattr(file, section, {}):
            yield (
                ("protect", at),
                *_nothing(section, name, [f"{s}/{n}" for s in SECTIONS for n in getattr(file, s)], shown=reference),
            )


def _routes(file: File) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, service in file.services.items():
        for prefix in service.public:
            if prefix in taken:
                message = say("{prefix} is already routed to {service}", prefix=prefix, service=taken[prefix])
                yield ("services", name, "public"), message, say("a public path goes to one service")
            taken[prefix] = name


def _needs(file: File, section: str, name: str, workload: Runnable) -> Iterator[Finding]:
    path: KeyPath = (section, name, "needs")
    for at, need in enumerate(workload.needs):
        if need.kind in ("external", "mesh"):
            continue
        known = list(getattr(file, need.kind))
        if need.kind == "services" and need.name == name and section == "services":
            yield (*path, at), say("{name} needs itself", name=name), say("leave it out")
        elif need.name not in known:
            elsewhere = {n: f"{s}/{n}" for s in ("resources", "topics", "functions") for n in getattr(file, s)}
            near = get_close_matches(need.name, [*known, *elsewhere], 1, 0.5)
            message, hint = _nothing(need.kind, need.name, known)
            if near and near[0] in elsewhere:
                hint = say("did you mean {near}?", near=elsewhere[near[0]])
            yield (*path, at), message, hint
    yield from _collisions(path, workload)


def _collisions(path: KeyPath, workload: Runnable) -> Iterator[Finding]:
    given: dict[str, Any] = {}
    for variable, need in needs.variables(workload.needs):
        if variable in given:
            message = say(
                "{one} and {other} would both be given as {variable}",
                one=given[variable].name,
                other=need.name,
                variable=variable,
            )
            yield path, message, say("rename one of them, or list it once")
        given[variable] = need


def _references(file: File, section: str, name: str, workload: Runnable) -> Iterator[Finding]:
    listed: list[tuple[KeyPath, Mapping[str, str]]] = [((section, name, "env"), workload.env)]
    if isinstance(workload, Service):
        listed += [((section, name, "versions", v, "env"), version.env) for v, version in workload.versions.items()]
    for path, env in listed:
        for variable, text in env.items():
            if secrets.is_one(text):
                yield from _secret((*path, variable), text)
                continue
            try:
                for reference in references.names(text):
                    yield from _reference((*path, variable), reference, file, workload)
            except ValueError as error:
                message, _, hint = str(error).partition("; ")
                yield (*path, variable), message, hint


def _secret(path: KeyPath, text: str) -> Iterator[Finding]:
    """A value that would be handed on as the text that it is must not look like one that is filled in."""
    if secrets.parse(text) is None:
        hint = say("write secret:env/NAME, secret:file/PATH or secret:kubernetes/SECRET/KEY")
        yield path, say("this is no secret that can be read"), hint


def _reference(path: KeyPath, reference: str, file: File, workload: Runnable) -> Iterator[Finding]:
    section, _, rest = reference.partition(".")
    if section == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(:-.*)?", rest):
        return
    target, _, output = rest.rpartition(".")
    if section not in ("services", "resources") or not target:
        hint = say("there are ${resources.NAME.url}, ${services.NAME.url} and ${env.NAME}; a plain ${ is written $${")
        yield path, say("${{{reference}}} refers to nothing", reference=reference[:60]), hint
    elif target not in getattr(file, section):
        yield path, *_nothing(section, target, list(getattr(file, section)))
    elif output not in (known := stores.outputs(file.resources[target]) if section == "resources" else ("url",)):
        yield (
            path,
            say("{section}/{name} has no output {output}", section=section, name=target, output=repr(output)),
            say("it has {outputs}", outputs=", ".join(known)),
        )
    elif not any((need.kind, need.name) == (section, target) for need in workload.needs):
        shown = target if section == "services" else f"{section}/{target}"
        yield path, say("{name} is used here but not in needs", name=shown), say("add {name} to needs", name=shown)


def _service(name: str, service: Service) -> Iterator[Finding]:
    path: KeyPath = ("services", name)
    ways = [key for key in ("run", "image", "build") if getattr(service, key)]
    if len(ways) > 1:
        yield (
            (*path, ways[1]),
            say("{one} and {other} exclude each other", one=f"`{ways[0]}`", other=f"`{ways[1]}`"),
            say("keep one"),
        )
    if not ways and not (
        service.versions and all(version.run or version.image for version in service.versions.values())
    ):
        yield path, say("nothing says what to run"), say('add run: "COMMAND"')
    if service.scale.min > service.scale.max:
        yield (*path, "scale"), say("min is more than max"), ""
    for key in ("health", "liveness"):
        health = getattr(service, key)
        if health is not None and sum(bool(way) for way in (health.http, health.tcp, health.exec)) > 1:
            yield (*path, key), say("must say one thing: http, tcp or exec"), ""
    if service.protocol == "tcp" and service.public:
        yield (*path, "public"), say("a tcp service has no public path"), say("remove `public`, or set protocol: http")


def _versions(directory: Path, name: str, service: Service) -> Iterator[Finding]:
    path: KeyPath = ("services", name, "versions")
    given = [version.weight for version in service.versions.values() if version.weight is not None]
    total, unset = sum(given), len(service.versions) - len(given)
    if service.versions and (total > 100.001 or (unset == 0 and abs(total - 100) > 0.001)):
        hint = say("leave one weight out and it gets the rest")
        yield path, say("the weights add up to {total:g}%, not 100%", total=total), hint
    for version, detail in service.versions.items():
        if not re.fullmatch(NAME, version):
            yield (*path, version), say("{name} is not a name", name=repr(version[:60])), say("write v1, v2, blue …")
        yield from _place(directory, (*path, version, "source"), detail.source)


def _place(directory: Path, path: KeyPath, source: str | None) -> Iterator[Finding]:
    """A source must be a directory below the file's own."""
    if source is None:
        return
    place = (directory / source).resolve()
    if "\0" in source or Path(source).is_absolute() or not place.is_relative_to(directory):
        yield (
            path,
            say("{path} leads out of the application's directory", path=repr(source[:80])),
            say("keep the code below {directory}", directory=directory),
        )
    elif not place.is_dir():
        near = get_close_matches(
            source, [str(p.relative_to(directory)) for p in place.parent.glob("*")] if place.parent.is_dir() else [], 1
        )
        hint = say("did you mean {near}?", near=near[0]) if near else say("create it, or mend the path")
        yield path, say("there is no directory {path}", path=repr(source[:80])), hint


def _files(file: File, directory: Path) -> Iterator[Finding]:
    named = [(("config", name, "file"), config.file) for name, config in file.config.items()]
    named += [(("topics", name, "schema"), topic.schema_file) for name, topic in file.topics.items()]
    for path, given in named:
        if given is None:
            continue
        place = (directory / given).resolve()
        if Path(given).is_absolute() or not place.is_relative_to(directory):
            yield path, say("{path} leads out of the application's directory", path=repr(given[:80])), ""
        elif not place.is_file():
            yield path, say("there is no file {path}", path=repr(given[:80])), say("create it, or mend the path")


def _nothing(section: str, name: str, known: list[str], shown: str = "") -> tuple[str, str]:
    near = get_close_matches(shown or name, known, 1, 0.5)
    if near:
        hint = say("did you mean {near}?", near=near[0])
    else:
        hint = (
            say("there is {known}", known=", ".join(known))
            if known
            else say("the file has no {section}", section=section)
        )
    return say("there is no {name} in {section}", name=repr((shown or name)[:60]), section=section), hint
