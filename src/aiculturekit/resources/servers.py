"""What a backend is: it prepares data on disk, says how its server is started, and makes what is declared true in a running one."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from aiculturekit.resources.tools import Tool

Verb = Literal["read", "write", "admin"]
VERBS: tuple[Verb, ...] = ("read", "write", "admin")
"""Each may do what those before it may."""


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """`user` may do `verb` in one resource, for `workload`. Several of one workload are valid while they are exchanged."""

    workload: str
    verb: Verb
    user: str
    password: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """One resource on this machine. `body` is what was declared; `folder` holds its data and belongs to the user with the number `uid`
    (None: the daemon's own); `sockets` is a folder with a short path that only that user may enter; `programs` is where the tool
    is. One that `is_scratch` is a copy that is thrown away: nothing of it has to outlive a crash. `cache` is a folder for what may be
    made once for all resources of this kind; None: there is none. `said` are the variables of the image, where it comes as one."""

    app: str
    name: str
    body: Mapping[str, Any] = dataclasses.field(hash=False)
    folder: Path
    sockets: Path
    programs: Path
    uid: int | None = None
    is_scratch: bool = False
    cache: Path | None = None
    said: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started: a command for the shell, in which $PORT is the port of loopback that it must listen on, and the probe
    that tells when it can be used (the keys of a workload's). `directory` is where it runs; None: where its data is. `arguments` are those
    of a server that runs in a container, with $(PORT) for its port; `command` then says them for people, and `folders` are what it sees
    besides its data."""

    command: str
    probe: Mapping[str, Any] = dataclasses.field(hash=False)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    startup: float = 60.0
    grace: float = 30.0
    directory: Path | None = None
    arguments: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


class Server(Protocol):
    def tool(self, body: Mapping[str, Any]) -> Tool | None:
        """What must be installed; None: nothing. Raises Mistake for a version that cannot be had."""
        ...

    def prepare(self, ground: Ground) -> Launch:
        """The data is there and fits the server. Blocks; idempotent; a crash in the middle leaves nothing half made. Raises Failed or
        Refused, having touched nothing that was there."""
        ...

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        """In the running server: what is declared exists, exactly these credentials are valid. Idempotent. Raises Failed."""
        ...

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        """What a client is given."""
        ...


@runtime_checkable
class Contained(Server, Protocol):
    """A backend whose server may come as an image: `ground.programs` is its unpacked file system, and `Launch.arguments` are what runs
    there. The container sees the folder `data` in `ground.folder`, under the same path, and nothing of what lies beside it: what is ours
    there must be ours when it is read again."""

    def image(self, body: Mapping[str, Any]) -> str:
        """Its reference; "" where it comes otherwise. Pure."""
        ...


@runtime_checkable
class Saving(Server, Protocol):
    """A backend whose files may not simply be copied while its server runs, though nobody writes."""

    async def save(self, ground: Ground, into: Path) -> None:
        """All of `ground.folder` as it is now, in the folder `into`, which is empty and belongs to `ground.uid`: what the server
        can be started on. Raises Failed."""
        ...


@runtime_checkable
class Several(Protocol):
    """One that has parts with addresses of their own (the databases of a server): a workload is given NAME_PART_URL for each."""

    def further_urls(self, ground: Ground, credential: Credential, *, host: str, port: int) -> Mapping[str, str]:
        """Part -> what a client is given, without the part that `url` names. Pure."""
        ...


@runtime_checkable
class Counting(Server, Protocol):
    """A backend that can tell what its data holds, so that two copies can be compared."""

    async def contents(self, ground: Ground) -> dict[str, Any]:
        """In the running server: each table's name with what must be equal in a true copy. Raises Failed."""
        ...


@runtime_checkable
class Archiving(Server, Protocol):
    """A backend that leaves its log behind, part by part, so that a copy of its data can follow it to any later moment."""

    def spool(self, ground: Ground) -> Path | None:
        """The folder with the closed parts, which whoever carried them away removes; its name is that of the log. None: no log is kept.
        Blocks."""
        ...

    async def hand_over(self, ground: Ground) -> None:
        """What was committed in the running server until now is in the spool. Raises Failed."""
        ...

    def first(self, copy: Path) -> str | None:
        """The part with which a copy of the data begins to follow the log; None: it can't. Blocks."""
        ...

    def following(self, parts: Collection[str], *, first: str) -> list[str]:
        """Those that such a copy needs, in order. Pure."""
        ...

    def missing(self, parts: Collection[str], *, first: str) -> list[str]:
        """Those that should be among them and are not. Pure."""
        ...

    def rewinding(self, ground: Ground, *, at: float) -> tuple[Ground, Path]:
        """The ground on which a server, started on a copy of the data, follows the log to a moment (seconds since the epoch) and is then
        ready; and the folder in which it looks for the parts, as NAME.gz."""
        ...
