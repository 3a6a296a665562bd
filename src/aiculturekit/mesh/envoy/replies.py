"""What a caller reads whose request was more than a service takes. The words stand in the listener, the figures come from where the
rule stands, so that a rule that changes leaves the listener alone. Pure."""

from __future__ import annotations

from aiculturekit.language import say
from aiculturekit.mesh.envoy import names, refusals
from aiculturekit.mesh.envoy.documents import Json


def compiled(*, app: str, service: str) -> list[Json]:
    limits, most = f"%RESP({names.LIMIT})%", f"%METADATA(ROUTE:{names.NOTES}:most)%"
    many = say("{app}/{service} takes no more requests for now: {limits}.\n", app=app, service=service, limits=limits)
    long = say(
        "The request's body is longer than {app}/{service} takes: {most}.\n", app=app, service=service, most=most
    )
    return [refusals.mapper(refusals.status(429), many), refusals.mapper(refusals.status(413), long)]
