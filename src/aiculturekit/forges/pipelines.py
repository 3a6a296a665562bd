"""An application's way from a change to its environments, as values that every forge's writer reads. Pure."""

from __future__ import annotations

import dataclasses
import re

from aiculturekit.targets.kubernetes.places import Cluster

_LIVE = re.compile(r"(prod|production|live)\b.*")


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """One that goes to a cluster. `waits` for a person's yes before it is deployed; `variables` are those of the shell that the file
    names."""

    name: str
    cluster: Cluster
    waits: bool = False
    variables: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """For forges whose variables belong to no environment: `STAGING_`."""
        return re.sub(r"[^A-Z0-9]", "_", self.name.upper()) + "_"


@dataclasses.dataclass(frozen=True, slots=True)
class Test:
    """The application's own tests in `folder` (relative to the repository): `python`, `node` or `make`."""

    kind: str
    folder: str
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Pipeline:
    """`path` is the application's folder relative to the repository (`.`: the repository itself), `install` the command that brings aic,
    `branch` the one whose pushes are deployed."""

    app: str
    path: str
    environments: tuple[Environment, ...]
    tests: tuple[Test, ...]
    install: str
    branch: str = "main"


def waiting(names: tuple[str, ...], *, chosen: tuple[str, ...] = ()) -> frozenset[str]:
    """Which of the environments wait for a person: those chosen, else the last of several and whatever is called production."""
    if chosen:
        return frozenset(chosen)
    return frozenset({*names[1:][-1:], *(name for name in names if _LIVE.fullmatch(name))})
