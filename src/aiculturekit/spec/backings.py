"""`functions:`, `topics:`, `resources:`, `config:` — what workloads stand on and react to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, WithJsonSchema

from aiculturekit.spec import crons
from aiculturekit.spec.fields import Command, Duration, Memory, Part, Text, listed
from aiculturekit.spec.services import Health, Runnable
from aiculturekit.spec.traffic import Way, short

Cloud = Literal[
    "aws-lambda", "aliyun-fc", "tencent-scf", "huawei-functiongraph", "volcengine-vefaas", "google-cloud-run", "azure-functions",
    "cloudflare-workers",
]  # fmt: skip


def _trigger(value: object) -> object:
    if isinstance(value, str):
        kind, slash, name = value.partition("/")
        if kind != "topics" or not slash or not name:
            raise ValueError(
                f'{value[:60]!r} is not a trigger; write topics/NAME, {{http: "POST /path"}} or {{cron: "0 2 * * *"}}'
            )
        return {"topic": name}
    return value


class Trigger(Part):
    """What starts a function: `topics/orders`, `{http: "POST /notify"}` or `{cron: "*/5 * * * *"}`."""

    topic: str | None = Field(None, description="Topic whose events it gets.")
    http: str | None = Field(None, pattern=r"^([A-Z]+ )?/\S*$", description="Method and path.")
    cron: Annotated[str, BeforeValidator(crons.checked)] | None = Field(None, description="Five cron fields.")


TriggerItem = Annotated[Trigger, BeforeValidator(_trigger), WithJsonSchema({"type": ["string", "object"]})]


class FunctionLimits(Part):
    """The bounds of one call."""

    timeout: Duration = Field(30.0, description="Longest time for one call.")
    memory: Memory = Field(256 << 20, description="Memory of one instance.")


class Function(Runnable):
    """Code that runs when something happens."""

    handler: str = Field(
        pattern=r"^[\w./-]+(:|\.)\w+$", description="module.function that is called with (event, context)."
    )
    runtime: str = Field(
        pattern=r"^(python|node|java|go|custom)[\w.]*$", description="Language and version: python3.11."
    )
    on: Annotated[tuple[TriggerItem, ...], BeforeValidator(listed)] = Field((), description="What starts it.")
    limits: FunctionLimits = Field(FunctionLimits(), description="The bounds of one call.")
    like: Cloud | None = Field(None, description="Run here under that cloud's limits.")


class Topic(Part):
    """A named stream of events."""

    retain: Duration = Field(7 * 86400.0, description="How long events are kept.")
    delivery: Literal["at-most-once", "at-least-once", "exactly-once"] = Field(
        "at-least-once", description="What is promised."
    )
    retries: int = Field(5, ge=0, le=100, description="Deliveries after the first that failed.")
    dead_letter: bool = Field(True, description="Keep what could not be delivered.")
    schema_file: str | None = Field(
        None, alias="schema", description="JSON Schema of the events, relative to the file."
    )
    partitions: int | None = Field(None, ge=1, le=1000, description="Ordered lanes.")


class Backup(Part):
    """When data is copied away, and where to."""

    every: Duration = Field(description="Pause between two backups.")
    keep: int = Field(7, ge=1, le=1000, description="How many are kept.")
    to: str | None = Field(None, pattern=r"^[a-z][a-z0-9+.-]*:", description="URL of the place.")


ResourceType = Literal["postgres", "redis", "s3", "nats", "mysql", "mongodb", "sqlite", "volume", "smtp", "custom"]


class Resource(Part):
    """A database, cache or store."""

    type: ResourceType = Field(description="What it is.")
    version: Text | None = Field(None, description="Version, pinned at creation.")
    image: Text | None = Field(
        None,
        pattern=r"^\S+$",
        description="Image of its server, which runs in a container: ghcr.io/ferretdb/ferretdb:1.24.2.",
    )
    url: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9+.-]*:\S+$", description="An existing server: checked, never created or deleted."
    )
    extensions: tuple[str, ...] = Field((), description="Extensions of a database.")
    databases: tuple[str, ...] = Field((), description="Databases within it.")
    buckets: tuple[str, ...] = Field((), description="Buckets of an object store.")
    size: Memory | None = Field(None, description="Room for its data, where a cluster is asked for it: 10Gi.")
    traffic: Way | None = Field(None, description="What happens on the way to it.")
    backup: Backup | None = Field(None, description="When data is copied away.")
    run: Command | None = Field(None, description="Command of a custom resource.")
    source: str | None = Field(
        None,
        description="Directory of a custom resource's own code, relative to the file: its command runs there, and anew when it changes.",
    )
    health: Annotated[Health | None, short("http")] = Field(
        None, description="How a custom resource is asked whether it is well."
    )
    outputs: Mapping[str, Text] = Field(
        default_factory=dict, description="What a custom resource gives to those who need it."
    )
    _directory: Path = PrivateAttr(default=Path())

    @property
    def directory(self) -> Path:
        """Absolute path of where its command runs."""
        return self._directory


class Config(Part):
    """A set of values that can change while everything runs."""

    file: str | None = Field(
        None, description="The first release's values, relative to the file; afterwards the config centre owns them."
    )
    values: Mapping[str, Any] = Field(default_factory=dict, description="The first release's values, written here.")
    format: Literal["yaml", "json", "properties", "text"] | None = Field(None, description="The file's format.")
