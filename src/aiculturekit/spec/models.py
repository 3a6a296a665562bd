"""The whole file as one model, and the Application that it becomes. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from aiculturekit.spec.backings import Config, Function, Resource, Topic
from aiculturekit.spec.fields import Part
from aiculturekit.spec.needs import Need
from aiculturekit.spec.services import Health, Job, Limits, Scale, Service, Version
from aiculturekit.spec.texts import Place
from aiculturekit.spec.traffic import Match, Traffic

__all__ = [
    "Application", "Config", "File", "Function", "Health", "Job", "Limits", "Match", "Need", "Ref", "Resource", "Scale", "Service",
    "Topic", "Traffic", "Version",
]  # fmt: skip

SECTIONS = ("services", "functions", "topics", "resources", "config", "jobs")
NAME = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"


def _mapping(value: object) -> object:
    """An empty section is an empty mapping."""
    return {} if value is None else value


def _section(description: str) -> Any:
    return Field(default_factory=dict, description=description)


Empty = BeforeValidator(_mapping)


class File(Part):
    """aic.yaml."""

    app: str = Field(description="The application's name: small letters, digits and hyphens.")
    services: Annotated[Mapping[str, Service], Empty] = _section("Workloads that answer requests.")
    functions: Annotated[Mapping[str, Function], Empty] = _section("Code that runs when something happens.")
    topics: Annotated[Mapping[str, Topic], Empty] = _section("Named streams of events.")
    resources: Annotated[Mapping[str, Resource], Empty] = _section("Databases, caches and stores.")
    config: Annotated[Mapping[str, Config], Empty] = _section("Values that can change while everything runs.")
    jobs: Annotated[Mapping[str, Job], Empty] = _section("Commands that run to their end, once or on a schedule.")
    protect: tuple[str, ...] = Field((), description="What no plan may delete: resources/users-db.")
    target: str | None = Field(None, description="Where it runs: local: when left out.")
    environments: Annotated[Mapping[str, Mapping[str, Any] | None], Empty] = _section(
        "Overlays of this same shape, by name, each with a target of its own."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """`kind/name`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Application:
    """A file without a mistake, as one environment sees it. Every service has at least one version (v1), with everything that it
    has from its service filled in, and weights that add up to 100."""

    app: str
    file: Path
    directory: Path
    environment: str
    target: str
    services: Mapping[str, Service]
    functions: Mapping[str, Function]
    topics: Mapping[str, Topic]
    resources: Mapping[str, Resource]
    config: Mapping[str, Config]
    jobs: Mapping[str, Job]
    protect: tuple[Ref, ...]
    text: str = dataclasses.field(repr=False)
    places: Mapping[tuple[str | int, ...], Place] = dataclasses.field(repr=False, hash=False)
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False, compare=False)
    """reference -> value, of those that stayed references in it."""

    def place(self, path: str) -> Place:
        """(line, column) of a key path such as `services.web.needs`; of the nearest key above it where it is not written."""
        return nearest(self.places, tuple(path.split(".")))

    def section_of(self, workload: str) -> str:
        """Where something that is called or calls stands: these share one set of names."""
        return next((name for name in ("jobs", "resources") if workload in getattr(self, name)), "services")


def nearest(places: Mapping[tuple[str | int, ...], Place], path: tuple[str | int, ...]) -> Place:
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (1, 1))
