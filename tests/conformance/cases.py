"""The cases: rules as a user writes them, and what they do to requests, whichever mesh carries them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping

from tests.conformance.stages import Stage, application

Play = Callable[[Stage], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Case:
    """`features` are the keys that it backs, as paths within a service's part of the application file (`traffic.retries.attempts`)."""

    name: str
    features: tuple[str, ...]
    text: str
    play: Play
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)


CASES: list[Case] = []


def case(
    *features: str, api: str = "", web: str = "", files: Mapping[str, str] | None = None
) -> Callable[[Play], Play]:
    """Declares a case; the function's name is what it says. `web` are the needs of web (YAML), `files` lie beside the application's."""

    def declared(play: Play) -> Play:
        CASES.append(Case(play.__name__, features, application(api, web), play, files or {}))
        return play

    return declared
