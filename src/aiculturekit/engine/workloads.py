"""The engine's values: what it is asked to run, and what it says of it."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

State = Literal[
    "building", "pending", "starting", "ready", "unready", "stopping", "backoff", "crash_loop", "exited", "failed"
]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one version of one workload of one application on this machine."""

    app: str
    name: str
    version: str = "v1"

    def __str__(self) -> str:
        return f"{self.app}/{self.name}/{self.version}"


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """How a replica is asked whether it is well. `every` and `timeout` are seconds; `fails` answers in a row make it unwell."""

    kind: Literal["http", "tcp", "exec"] = "tcp"
    path: str = "/"
    command: str = ""
    every: float = 5.0
    timeout: float = 2.0
    fails: int = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for one replica: `cpu` in millicores, `memory` in bytes; None is unlimited."""

    cpu: int | None = None
    memory: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine that a container sees, under the same path."""

    place: Path
    is_read_only: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """What an image runs as: `root` is its unpacked file system, which is not written to; `directory` a path in it; `stop` the signal
    that asks it to end."""

    root: Path
    arguments: tuple[str, ...]
    directory: str = "/"
    user: int = 65532
    group: int = 65532
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    stop: int = signal.SIGTERM


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """One version of one workload, ready to run. `environment` is complete but for PORT, which each replica gets of its own.

    Its replicas are spread over `zones`, the nearest first; each learns its own in AIC_ZONE.
    `revision` is a digest of everything that must restart the processes when it changes; `replicas` and `autoscale` are not
    part of it. `startup` is the seconds a replica may take until its first good probe; `grace` the seconds between SIGTERM
    and SIGKILL. A resource has its data to itself: the process before has ended when the next one starts. With a `container` that is what
    runs, and `command` says it for people.
    """

    key: Key
    command: str
    directory: Path
    revision: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    kind: Literal["service", "job", "resource"] = "service"
    replicas: int = 1
    readiness: Probe = Probe()
    liveness: Probe | None = None
    startup: float = 30.0
    grace: float = 10.0
    limits: Limits = Limits()
    schedule: str | None = None
    release: int = 0
    zones: tuple[str, ...] = ()
    container: Container | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """A replica as the data plane must know it: where it listens, the place that it stands in, and that place's number in the order of
    its workload. One that is not ready is told of only where it stands in a place, whose health it is part of."""

    port: int
    zone: str = ""
    rank: int = 0
    is_ready: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One replica as it is now. `exit_code` is None while it runs, and where nobody could see it end."""

    id: str
    revision: str
    release: int
    pid: int | None
    port: int | None
    state: State
    reason: str = ""
    restarts: int = 0
    started_at: float | None = None
    exit_code: int | None = None
    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    last_probe: str = ""
    zone: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """One workload as it is now: what was asked for last, and its replicas (of every revision that still runs)."""

    workload: Workload
    state: State
    instances: tuple[Instance, ...]

    @property
    def ready(self) -> int:
        return sum(instance.state == "ready" for instance in self.instances)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a workload; `at` is seconds since the epoch."""

    at: float
    key: Key
    kind: str
    message: str
    level: Literal["info", "warning", "error"] = "info"
    instance: str = ""


def as_record(workload: Workload) -> dict[str, Any]:
    """Plain JSON, from which `from_record` makes the same workload again."""
    record = dataclasses.asdict(workload) | {"directory": str(workload.directory)}
    if workload.container is not None:
        mounts = [{"place": str(one.place), "is_read_only": one.is_read_only} for one in workload.container.mounts]
        record["container"] |= {"root": str(workload.container.root), "mounts": mounts}
    return record


def from_record(record: Mapping[str, Any]) -> Workload:
    liveness = record["liveness"]
    return Workload(
        **{
            **record,
            "key": Key(**record["key"]),
            "directory": Path(record["directory"]),
            "readiness": Probe(**record["readiness"]),
            "liveness": Probe(**liveness) if liveness else None,
            "limits": Limits(**record["limits"]),
            "zones": tuple(record.get("zones", ())),
            "container": _container(record.get("container")),
        }
    )


def _container(record: Mapping[str, Any] | None) -> Container | None:
    if record is None:
        return None
    mounts = tuple(Mount(Path(one["place"]), one["is_read_only"]) for one in record["mounts"])
    words = {name: tuple(record[name]) for name in ("arguments", "groups")}
    return Container(**{**record, **words, "root": Path(record["root"]), "mounts": mounts})
