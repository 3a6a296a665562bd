"""The cases: rules as a user writes them, and what they do to requests, whichever mesh carries them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from tests.conformance.stages import Stage, application

Play = Callable[[Stage], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Case:
    """`features` are the keys that it backs, as paths within a service's part of the application file (`traffic.retries.attempts`)."""

    name: str
    features: tuple[str, ...]
    text: str
    play: Play


CASES: list[Case] = []


def case(*features: str, api: str = "") -> Callable[[Play], Play]:
    """Declares a case; the function's name is what it says."""

    def declared(play: Play) -> Play:
        CASES.append(Case(play.__name__, features, application(api), play))
        return play

    return declared
