"""The types of resources as rows of data. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from aiculturekit.registry import Registry

Tier = Literal["embedded", "outside"]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type. `scheme` begins its URL; `title` is its name for people. `protocol` is what the mesh may take its connections for.
    `embedded`: its server comes with us and runs here; else it is what a `url:` names."""

    title: str
    scheme: str
    protocol: Literal["tcp", "http"] = "tcp"
    is_embedded: bool = False


KINDS: Mapping[str, Kind] = {
    "postgres": Kind("PostgreSQL", "postgresql", is_embedded=True),
    "redis": Kind("Valkey", "redis"),
    "s3": Kind("S3", "s3", protocol="http"),
    "nats": Kind("NATS", "nats"),
    "mysql": Kind("MySQL", "mysql"),
    "mongodb": Kind("MongoDB", "mongodb"),
    "smtp": Kind("SMTP", "smtp"),
    "custom": Kind("custom", "tcp"),
}
"""Those that a server plays. `sqlite` and `volume` are files and need none."""

BACKENDS = Registry("resources", {"postgres": "aiculturekit.resources.backends.postgres:Postgres"})
