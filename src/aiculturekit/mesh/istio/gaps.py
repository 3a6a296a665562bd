"""What would not be the same on Istio, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.language import say
from aiculturekit.mesh.branches import branches
from aiculturekit.mesh.istio import localities, matches
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rendering import Gap
from aiculturekit.mesh.rules import Fault, Match


def of(service: Service) -> Iterator[Gap]:
    for key, match in _matches(service):
        if matches.is_crowded(match):
            reason = say(
                "Istio compares each header once, and all cookies are one header; at most {count}",
                count=matches.COOKIES,
            )
            yield Gap(service.app, service.name, key, reason)
    if disorder := localities.unordered(service.traffic.zones):
        one, other = disorder
        reason = say(
            "Istio asks the caller's own place, the rest of its region, one more region, then all others: it has no order of {one} and "
            "then {other}",
            one=one,
            other=other,
        )
        yield Gap(service.app, service.name, "traffic.zones", reason)
    if service.protocol == "tcp" and service.traffic.fault:
        reason = say("Istio makes requests fail on purpose, never connections")
        yield Gap(service.app, service.name, "traffic.fault", reason)
        return
    for key, fault in _faults(service):
        if fault.callers:
            reason = say("the faults that are rendered for Istio are everybody's")
            yield Gap(service.app, service.name, f"{key}.callers", reason)
        if fault.delay and fault.abort and fault.share < 100:
            reason = say("Istio draws for a delay and for an abort one by one; write one of them, or a share of 100%")
            yield Gap(service.app, service.name, key, reason)


def _matches(service: Service) -> Iterator[tuple[str, Match]]:
    """With the key under which it stands. A match that only comes about where two hold together is found by the branches."""
    written = {f"versions.{version.name}.match": version.match for version in service.versions if version.match}
    written |= {f"traffic.routes.{at}.match": route.match for at, route in enumerate(service.traffic.routes)}
    yield from written.items()
    if not any(matches.is_crowded(match) for match in written.values()):
        yield from (("traffic.routes", branch.match) for branch in branches(service))


def _faults(service: Service) -> Iterator[tuple[str, Fault]]:
    if service.traffic.fault:
        yield "traffic.fault", service.traffic.fault
    for at, route in enumerate(service.traffic.routes):
        if route.fault:
            yield f"traffic.routes.{at}.fault", route.fault
