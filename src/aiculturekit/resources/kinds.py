"""The types of resources as rows of data. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from aiculturekit.registry import Registry

Tier = Literal["embedded", "outside"]
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type. `scheme` begins its URL; `title` is its name for people. `protocol` is what the mesh may take its connections for.
    `port` is the usual one of such a server, for the URLs that leave it out; `schemes` are all that may begin them. `versions` has the
    package's exact version of each that may be asked for, the usual one last; PostgreSQL has its own table, MySQL what the machine has,
    and MongoDB what its registry has."""

    title: str
    scheme: str
    protocol: Literal["tcp", "http"] = "tcp"
    port: int | None = None
    schemes: tuple[str, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE, hash=False)


KINDS: Mapping[str, Kind] = {
    "postgres": Kind(
        "PostgreSQL",
        "postgresql",
        port=5432,
        schemes=("postgresql", "postgres"),
    ),
    "redis": Kind("Valkey", "redis", port=6379, schemes=("redis", "rediss"), versions={"9": "9.1.2.post2"}),
    "s3": Kind("S3", "s3", protocol="http", schemes=("s3",), versions={"4": "4.48"}),
    "nats": Kind("NATS", "nats", port=4222, schemes=("nats", "tls"), versions={"2": "2.15.1"}),
    "mysql": Kind("MySQL", "mysql", port=3306, schemes=("mysql", "mariadb")),
    "mongodb": Kind("MongoDB", "mongodb", port=27017, schemes=("mongodb",)),
    "smtp": Kind("SMTP", "smtp", port=587, schemes=("smtp", "smtps"), versions={"1": "1.4.6"}),
    "custom": Kind("custom", "tcp"),
}
"""Those that a server plays. `sqlite` and `volume` are files and need none."""

BACKENDS = Registry(
    "resources",
    {
        "postgres": "aiculturekit.resources.backends.postgres:Postgres",
        "redis": "aiculturekit.resources.backends.redis:Redis",
        "s3": "aiculturekit.resources.backends.s3:S3",
        "nats": "aiculturekit.resources.backends.nats:Nats",
        "mysql": "aiculturekit.resources.backends.mysql:Mysql",
        "mongodb": "aiculturekit.resources.backends.mongodb:Mongodb",
        "smtp": "aiculturekit.resources.backends.smtp:Smtp",
        "custom": "aiculturekit.resources.backends.custom:Custom",
    },
)
INSPECTORS = Registry(
    "inspectors",
    {
        "postgres": "aiculturekit.resources.inspections.postgres:Postgres",
        "nats": "aiculturekit.resources.inspections.nats:Nats",
        "mysql": "aiculturekit.resources.inspections.mysql:Mysql",
        "redis": "aiculturekit.resources.inspections.redis:Redis",
        "s3": "aiculturekit.resources.inspections.s3:S3",
        "smtp": "aiculturekit.resources.inspections.smtp:Smtp",
    },
)
