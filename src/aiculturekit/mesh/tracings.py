"""Where traces go, from what a user writes in AIC_OTLP: `http://127.0.0.1:4318`, `otlp://collector?percent=10`."""

from __future__ import annotations

import dataclasses

from aiculturekit.errors import LocatorError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh.nodes import Tracing

PORT = 4318
"""OTLP over HTTP, as registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Options:
    percent: float = 1.0


def parse(text: str | None) -> Tracing | None:
    """None where nothing is written. Raises LocatorError."""
    if not text:
        return None
    locator = Locator.parse(text)
    if locator.scheme not in ("http", "otlp") or len(locator.hosts) != 1 or not locator.hosts[0][0]:
        raise LocatorError(
            say("AIC_OTLP: {scheme} with one host is needed", scheme="http://"),
            hint=say("write http://127.0.0.1:4318: a collector on this machine speaks TLS to the others"),
        )
    percent = locator.options_as(_Options).percent
    if not 0 <= percent <= 100:
        raise LocatorError(say("AIC_OTLP: percent must be between 0 and 100"))
    host, port = locator.hosts[0]
    return Tracing(host.strip("[]"), port or PORT, path=locator.path.rstrip("/"), percent=percent)
