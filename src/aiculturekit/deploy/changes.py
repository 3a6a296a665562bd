"""The values of a deployment: what is asked for, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step

Emit = Callable[[str, Mapping[str, Any]], None]
"""Told of everything that happens: ("operation" | "step" | "progress", payload)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A wish: make `documents` all that the application is. `sources` maps code directories to their digests.

    A change that `is_release` becomes a numbered release when it changes anything; others (taking an application down) are
    journalled only. `began_at` is when it was asked for, `revision` the Git commit of the code, `committed_at` its time; None where
    the code is not as committed. `keeps_holds` is for wishes that come from the file: what was shifted or scaled at run time stays then.
    Any other wish means the values that it names. `request` is the name under which it is kept until it is in the journal.
    """

    app: str
    verb: str
    documents: tuple[Document, ...]
    author: str = "local"
    reason: str = ""
    environment: str = "local"
    file: str = ""
    text: str = ""
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    began_at: float | None = None
    revision: str = ""
    committed_at: float | None = None
    is_release: bool = True
    request: str = ""
    keeps_holds: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: no steps means that everything was already so. `release` is the release in force afterwards."""

    operation: int | None
    release: int | None
    steps: tuple[Step, ...]
