"""Whether a failure made on purpose can happen where it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from aiculturekit.language import say
from aiculturekit.spec.models import File
from aiculturekit.spec.services import Service
from aiculturekit.spec.texts import Path as KeyPath
from aiculturekit.spec.traffic import Fault

Finding = tuple[KeyPath, str, str]
"""(key path, message, hint)."""
_REQUESTS = ("s3",)
"""Types of resources that are asked over HTTP."""
_FILES = ("sqlite", "volume")


def findings(file: File) -> Iterator[Finding]:
    yield from _of_services(file)
    yield from _of_resources(file)


def _of_services(file: File) -> Iterator[Finding]:
    for name, service in file.services.items():
        callers = _callers(file, "services", name) | ({"ingress"} if service.public else set())
        for path, fault in _written(("services", name, "traffic"), service):
            yield from _kind(path, fault, is_tcp=service.protocol == "tcp")
            yield from _strangers(path, fault, callers)


def _of_resources(file: File) -> Iterator[Finding]:
    for name, resource in file.resources.items():
        if resource.traffic is None:
            continue
        path: KeyPath = ("resources", name, "traffic")
        if resource.type in _FILES or resource.url:
            message = say("no rule of the mesh holds on the way to it")
            yield path, message, say("files and servers that stand elsewhere have none; leave it out")
        elif fault := resource.traffic.fault:
            yield from _kind((*path, "fault"), fault, is_tcp=resource.type not in _REQUESTS)
            yield from _strangers((*path, "fault"), fault, _callers(file, "resources", name))


def _written(path: KeyPath, service: Service) -> Iterator[tuple[KeyPath, Fault]]:
    if service.traffic.fault:
        yield (*path, "fault"), service.traffic.fault
    for at, route in enumerate(service.traffic.routes):
        if route.fault:
            yield (*path, "routes", at, "fault"), route.fault


def _kind(path: KeyPath, fault: Fault, *, is_tcp: bool) -> Iterator[Finding]:
    if is_tcp and fault.when:
        message = say("the mesh sees connections here, not requests")
        yield (*path, "when"), message, say("leave `when` out; `callers` says whose connections")
    if is_tcp and fault.abort not in (None, True):
        yield (*path, "abort"), say("a connection has no status"), say("write abort: true, and it is broken off")
    if not is_tcp and fault.abort is True:
        yield (*path, "abort"), say("a request is answered with a status"), say("write one: abort: 503")


def _strangers(path: KeyPath, fault: Fault, callers: set[str]) -> Iterator[Finding]:
    for at, name in enumerate(fault.callers):
        if name not in callers:
            near = get_close_matches(name, sorted(callers), 1)
            hint = say("there is {known}", known=", ".join(sorted(callers)) or "-")
            if near:
                hint = say("did you mean {near}?", near=near[0])
            yield (*path, "callers", at), say("{name} does not call it", name=repr(name[:60])), hint


def _callers(file: File, kind: str, name: str) -> set[str]:
    sections = (file.services, file.functions, file.jobs)
    return {
        who
        for section in sections
        for who, workload in section.items()
        if any((need.kind, need.name) == (kind, name) for need in workload.needs)
    }
