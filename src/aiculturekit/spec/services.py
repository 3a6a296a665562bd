"""`services:` and `jobs:` — what runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, WithJsonSchema, field_validator

from aiculturekit.spec import crons, units
from aiculturekit.spec.access import Access
from aiculturekit.spec.fields import Command, Cpu, Duration, Image, Memory, Part, Percent, Prefix, Text, listed
from aiculturekit.spec.needs import NeedItem
from aiculturekit.spec.traffic import Match, Traffic, short

_BASE = "Image that `aic build` builds on; the language's usual one when left out: python:3.12-slim, oci:DIRECTORY."


class Health(Part):
    """How a workload is asked whether it is well. `health: /healthz` is short for `{http: /healthz}`."""

    http: Prefix | None = Field(None, description="Path that answers 2xx or 3xx when all is well.")
    tcp: bool = Field(False, description="The port accepting connections is enough.")
    exec: Command | None = Field(None, description="Command that ends with 0 when all is well.")
    every: Duration = Field(5.0, description="Pause between two questions.")
    timeout: Duration = Field(2.0, description="Longest wait for an answer.")
    fails: int = Field(3, ge=1, le=100, description="Bad answers in a row that make a workload unwell.")

    def as_probe(self) -> dict[str, Any]:
        """The engine's words for it."""
        kind = "http" if self.http else "exec" if self.exec else "tcp"
        asked = {"kind": kind, "path": self.http or "/", "command": self.exec or ""}
        return asked | {"every": self.every, "timeout": self.timeout, "fails": self.fails}


class Limits(Part):
    """Upper bounds for one replica."""

    cpu: Cpu | None = Field(None, description="Processor time: 250m is a quarter of a core.")
    memory: Memory | None = Field(None, description="Memory; a process that takes more is ended.")


class Scale(Part):
    """How many replicas: a number, a range `1..8`, or a mapping with what to scale by."""

    min: int = Field(1, ge=0, le=100, description="Fewest replicas.")
    max: int = Field(1, ge=0, le=100, description="Most replicas.")
    rps: float | None = Field(None, gt=0, description="Requests per second that one replica should carry.")
    cpu: Percent | None = Field(None, description="Processor time that one replica should use, of one core.")


class Version(Part):
    """One of several versions that run side by side; what it leaves out it has from its service."""

    weight: Percent | None = Field(
        None, description="Share of the requests that no match claims; the rest when left out."
    )
    match: Match | None = Field(None, description="Requests that go here whatever the weight.")
    source: str | None = Field(None, description="Directory of the code, relative to the file.")
    run: Command | None = Field(None, description="Command.")
    image: str | None = Field(None, description="Container image instead of a command.")
    base: Image | None = Field(None, description=_BASE)
    env: Mapping[str, Text] = Field(default_factory=dict, description="Variables, on top of the service's.")
    _directory: Path = PrivateAttr(default=Path())

    @property
    def directory(self) -> Path:
        """Absolute path of the code."""
        return self._directory


class Runnable(Part):
    source: str | None = Field(
        None, description="Directory of the code, relative to the file; the working directory of `run`."
    )
    run: Command | None = Field(None, description="Command; the platform picks $PORT.")
    base: Image | None = Field(None, description=_BASE)
    env: Mapping[str, Text] = Field(
        default_factory=dict, description="Variables; may refer to ${resources.NAME.url} and ${env.NAME}."
    )
    needs: tuple[NeedItem, ...] = Field(
        (), description="What it talks to: the address it gets and the permission it has."
    )
    resources: Limits = Field(Limits(), description="Upper bounds for one replica.")
    _directory: Path = PrivateAttr(default=Path())

    @property
    def directory(self) -> Path:
        """Absolute path of the code."""
        return self._directory

    @field_validator("env")
    @classmethod
    def _names(cls, env: Mapping[str, str]) -> Mapping[str, str]:
        for name in env:
            if not name.replace("_", "a").isalnum() or name[:1].isdigit() or not name.isascii():
                raise ValueError(f"{name!r} is not the name of a variable; use letters, digits and _")
            if name == "PORT":
                raise ValueError("PORT is picked by the platform; read it instead of setting it")
        return env


def _scale(value: object) -> object:
    if isinstance(value, dict | Scale) or value is None:
        return value
    low, high = units.replicas(value)
    return {"min": low, "max": high}


ScaleField = Annotated[
    Scale,
    BeforeValidator(_scale),
    WithJsonSchema(
        {"type": ["integer", "string", "object"], "examples": [3, "1..8", {"min": 1, "max": 8, "rps": 200}]}
    ),
]


class Task(Part):
    """A command that runs to its end, in the service's directory and with its needs. A plain text is short for `{run: text}`."""

    run: Command = Field(description="Command.")
    timeout: Duration = Field(600.0, description="Longest time until it must have ended.")


TaskField = Annotated[
    Task | None, short("run"), WithJsonSchema({"type": ["string", "object"], "examples": ["alembic upgrade head"]})
]


class Service(Runnable):
    """A workload that answers requests."""

    image: str | None = Field(None, description="Container image instead of a command.")
    build: str | None = Field(None, description="Directory to build an image from.")
    public: Annotated[tuple[Prefix, ...], BeforeValidator(listed)] = Field(
        (), description="Path prefixes that the ingress routes here.", json_schema_extra={"type": ["string", "array"]}
    )
    protocol: Literal["http", "http2", "tcp"] = Field("http", description="What it speaks.")
    health: Annotated[Health | None, short("http")] = Field(
        None, description="How it is asked whether it may get requests."
    )
    liveness: Annotated[Health | None, short("http")] = Field(
        None, description="How it is asked whether it must be restarted."
    )
    startup: Duration = Field(30.0, description="Longest time until it is well for the first time.")
    grace: Duration = Field(10.0, description="Time between the request to stop and the end.")
    scale: ScaleField = Field(Scale(), description="How many replicas.")
    traffic: Traffic = Field(Traffic(), description="How calls to it are treated.")
    access: Access = Field(Access(), description="Who may come in from outside, and how strictly.")
    versions: Mapping[str, Version] = Field(default_factory=dict, description="Several versions side by side.")
    migrate: TaskField = Field(
        None, description="Command that runs once for each content, before traffic moves: {run: ..., timeout: 10m}."
    )
    seed: TaskField = Field(None, description="Command that runs once, after the first migration of new data.")

    @property
    def prepares(self) -> bool:
        """Whether it does something to its data before it runs."""
        return self.migrate is not None or self.seed is not None


class Job(Runnable):
    """A command that runs to its end: on a schedule, or once a release that changes it."""

    run: Command = Field(description="Command.")
    schedule: Annotated[str, BeforeValidator(crons.checked)] | None = Field(
        None, description="Five cron fields, or @hourly, @daily, @weekly, @monthly."
    )
    timeout: Duration | None = Field(None, description="Longest time until it must have ended.")
    retries: int = Field(0, ge=0, le=10, description="Tries after the first.")
