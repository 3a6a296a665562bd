"""The documents in force as the node's mesh: rooms, ports and rules, always brought to the latest state together."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from aiculturekit import threads
from aiculturekit.engine.rooms import Rooms
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Node, Realm, Tracing
from aiculturekit.plan.documents import Document
from aiculturekit.targets import nodes
from aiculturekit.targets.local.ports import Ports


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What of the node no document says."""

    ingress_port: int
    realm: Callable[[], Realm] = Realm
    tracing: Tracing | None = None
    stand_ins: Mapping[str, tuple[str, int]] = dataclasses.field(default_factory=dict, hash=False)


class Wiring:
    """`documents` are those in force per application; they are read anew at each refresh."""

    def __init__(
        self,
        *,
        mesh: Mesh,
        ports: Ports,
        rooms: Rooms | None,
        documents: Mapping[str, Mapping[tuple[str, str], Document]],
        setting: Setting,
    ) -> None:
        self._mesh, self._ports, self._rooms = mesh, ports, rooms
        self._documents, self._setting = documents, setting
        self._coming: list[tuple[str, Document]] = []
        self._lock = asyncio.Lock()
        self._wanted = self._done = 0

    @contextlib.contextmanager
    def announced(self, app: str, document: Document) -> Iterator[None]:
        """Open the doors that a workload needs before its first process starts, with the next refresh; they close again when this
        ends, unless it is in force by then."""
        entry = (app, document)
        self._coming.append(entry)
        try:
            yield
        finally:
            self._coming.remove(entry)

    async def refresh(self) -> None:
        """Bring the mesh in line. Callers that arrive while one update is under way share the next."""
        self._wanted += 1
        ticket = self._wanted
        async with self._lock:
            if self._done >= ticket:
                return
            await asyncio.sleep(0)  # those who come in the same breath, as the steps of a wave do, share this very one
            done = self._wanted
            await self._apply()
            self._done = done

    async def _apply(self) -> None:
        applications = {app: list(documents.values()) for app, documents in self._documents.items()}
        for app, document in self._coming:
            applications.setdefault(app, []).append(document)
        ports = await self._ports.ensure(nodes.port_names(applications))
        async with _housed(self._rooms, nodes.workloads(applications)) as namespaces:
            node = nodes.node(
                applications,
                ports=ports,
                ingress_port=self._setting.ingress_port,
                realm=self._setting.realm(),
                tracing=self._setting.tracing,
                namespaces=namespaces,
                stand_ins=self._setting.stand_ins,
            )
            if self._rooms is not None:
                await threads.run(_furnish, self._rooms, node)
            await self._mesh.apply(node)


@contextlib.asynccontextmanager
async def _housed(rooms: Rooms | None, wanted: list[tuple[str, str]]) -> AsyncIterator[Mapping[tuple[str, str], str]]:
    """Rooms are there before the mesh has listeners in them, and go after those."""
    if rooms is None:
        yield {}
        return
    yield await threads.run(rooms.ensure, wanted)
    await threads.run(rooms.keep, wanted)


def _furnish(rooms: Rooms, node: Node) -> None:
    for caller in node.callers:
        rooms.furnish(caller.app, caller.name, names=nodes.names(node, caller), addresses=nodes.addresses(node, caller))
