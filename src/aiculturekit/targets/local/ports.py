"""Named ports: the same name keeps its port over restarts, so that nothing has to be told anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiculturekit.state import ports
from aiculturekit.state.databases import Database

Allocate = Callable[[set[int]], int]


class Ports:
    """`held` is the memory of the state database's `ports`; `allocate` finds one that is free on this machine."""

    def __init__(self, *, database: Database, allocate: Allocate) -> None:
        self._database, self._allocate = database, allocate
        self.held: dict[str, int] = {}

    async def open(self) -> None:
        self.held = await self._database.run(ports.held)

    async def ensure(self, names: Iterable[str]) -> Mapping[str, int]:
        """All held ports, with one for each of the names. Those that are new are on disk before this returns."""
        missing = [name for name in dict.fromkeys(names) if name not in self.held]
        if missing:
            new: dict[str, int] = {}
            for name in missing:
                new[name] = self._allocate({*self.held.values(), *new.values()})
            await self._database.run(_hold, new)
            self.held |= new
        return self.held

    async def prefer(self, name: str, *, port: int, is_free: Callable[[int], bool]) -> int:
        """The port held under the name while it is free; else `port` when that is; else any free one."""
        held = self.held.get(name)
        if held is not None and is_free(held):
            return held
        chosen = (
            port
            if port and is_free(port) and port not in self.held.values()
            else self._allocate(set(self.held.values()))
        )
        await self._database.run(_hold, {name: chosen})
        self.held[name] = chosen
        return chosen


def _hold(connection: Any, new: Mapping[str, int]) -> None:
    for name, port in new.items():
        ports.hold(connection, name, port=port)
