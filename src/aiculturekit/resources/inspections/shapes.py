"""What an inspector answers, and the optional things that some types know to do: asking, listing, opening, programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from aiculturekit.resources.servers import Ground

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One key figure under the name that the type's usual Prometheus exporter gives it; `text` says what it counts."""

    name: str
    kind: Literal["gauge", "counter"]
    text: str
    value: float
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Inspection:
    """A running server as it is now. `version` is the engine's own word, `size_bytes` what it counts as its data, `memory_bytes` what it
    says to hold in memory (None: it does not say). `clients` are rows of user, state and count; `sections` are the tables that the type
    has, by name."""

    version: str
    uptime: float | None = None
    size_bytes: int | None = None
    memory_bytes: int | None = None
    hit_ratio: float | None = None
    clients: tuple[Row, ...] = ()
    sections: Mapping[str, Sequence[Row]] = dataclasses.field(default_factory=dict, hash=False)
    figures: tuple[Figure, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    name: str
    is_number: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The answer to a question. `is_cut`: there was more than was asked for. None is no value."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    is_cut: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A command of the tool, run in `directory` by whoever owns the daemon; no password is part of it or of its environment. One that
    `is_whole` has changed nothing when it fails."""

    command: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    is_whole: bool = True


@runtime_checkable
class Inspector(Protocol):
    async def inspect(self, ground: Ground) -> Inspection:
        """Takes milliseconds; changes nothing. Raises Failed or OSError where the server does not answer."""
        ...


@runtime_checkable
class Glancing(Inspector, Protocol):
    """A type of which a full inspection takes long."""

    async def glance(self, ground: Ground) -> Inspection:
        """Whether it answers now, with counts that may be a minute old. Raises as `inspect` does."""
        ...


@runtime_checkable
class Asking(Inspector, Protocol):
    """A type that can be asked in its own language."""

    async def ask(self, ground: Ground, statement: str, *, database: str, rows: int, seconds: float) -> Table:
        """At most `rows` of the answer, within `seconds`; both are kept by the server, and so is that nothing is written. Raises Mistake
        with the server's own words."""
        ...

    def databases(self, ground: Ground) -> list[str]:
        """What can be asked, the usual one first."""
        ...


@runtime_checkable
class Listing(Inspector, Protocol):
    """A type with things to leaf through: `what` is the name of one of its sections."""

    async def listed(self, ground: Ground, what: str, *, within: str, search: str, limit: int) -> list[Row]:
        """What is in `within` (a bucket, a database) and matches `search`. Raises NotFound."""
        ...

    async def opened(self, ground: Ground, what: str, *, within: str, name: str) -> Row:
        """One of them with its content, as text, cut where it is long. Raises NotFound."""
        ...


@runtime_checkable
class Equipped(Inspector, Protocol):
    """A type whose tool has programs to work with it by hand."""

    def programs(self, ground: Ground, *, database: str) -> Mapping[Literal["shell", "dump", "load"], Program]:
        """As the administrator, through the socket; those that the type has. "" is the usual database."""
        ...
