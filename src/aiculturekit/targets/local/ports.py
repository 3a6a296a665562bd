"""Named ports: the same name keeps its port over restarts, so that nothing has to be told anew; unless somebody else has it by then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from aiculturekit.state import ports
from aiculturekit.state.databases import Database

Allocate = Callable[[set[int]], int]
Taken = Callable[[Mapping[str, int]], Collection[str]]
"""name -> port; answers the names whose port somebody else has."""


def _nobody(_held: Mapping[str, int]) -> Collection[str]:
    return ()


class Ports:
    """`held` is the memory of the state database's `ports`; `allocate` finds one that is free on this machine. `moved` are the names
    that had another port while the last daemon ran."""

    def __init__(self, *, database: Database, allocate: Allocate, taken: Taken = _nobody) -> None:
        self._database, self._allocate, self._taken = database, allocate, taken
        self.held: dict[str, int] = {}
        self.moved: set[str] = set()
        self._lost: dict[str, int] = {}
        self._used: set[str] = set()

    async def open(self) -> None:
        """Before the mesh takes them up: it would go without the doors whose ports others took meanwhile."""
        self.held = await self._database.run(ports.held)
        self._give_up(self.held)
        self.moved = set(self._lost)

    async def ensure(self, names: Iterable[str]) -> Mapping[str, int]:
        """All held ports, with one for each of the names. Those that are new are on disk before this returns. A name that comes back
        into use gets another port where somebody else has its own."""
        wanted = dict.fromkeys(names)
        self._give_up({name: self.held[name] for name in wanted if name in self.held and name not in self._used})
        self._used = set(wanted)
        missing = [name for name in wanted if name not in self.held]
        if missing:
            new: dict[str, int] = {}
            for name in missing:
                new[name] = self._allocate({*self.held.values(), *self._lost.values(), *new.values()})
            await self._database.run(_hold, new)
            self.held |= new
        return self.held

    def _give_up(self, held: Mapping[str, int]) -> None:
        """The port of a lost one stays out of use: it is on record until the name has another."""
        for name in self._taken(held) if held else ():
            self._lost[name] = self.held.pop(name)

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
