"""One machine's own: its state, its network namespaces, its processes, its Envoy, and the target that they are together."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiculturekit import state, threads
from aiculturekit.control import trusts
from aiculturekit.engine import isolation
from aiculturekit.engine import ports as engine_ports
from aiculturekit.engine.isolation import Isolation
from aiculturekit.engine.rooms import Rooms
from aiculturekit.engine.schedules import Scheduler
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Event, Key, Serving
from aiculturekit.errors import UsageError
from aiculturekit.language import say
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Gateway, Realm, Replica
from aiculturekit.settings import GATEWAY_PORT, TRUST_DOMAIN, Settings
from aiculturekit.state import replicas, settings, terms
from aiculturekit.state.databases import Database
from aiculturekit.targets import nodes
from aiculturekit.targets.local import Local, Ports
from aiculturekit.targets.local.credentials import Credentials
from aiculturekit.targets.local.stores import Stores

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    given: Settings
    node: str
    """This home's name on the machine: the mark that its processes carry."""
    isolated: Isolation
    rooms: Rooms | None
    database: Database
    mesh: Mesh
    engine: Engine
    ports: Ports
    ingress_port: int
    gateway: Gateway
    stores: Stores
    target: Local

    @classmethod
    async def assembled(
        cls, given: Settings, *, on_event: Callable[[Event], None], on_mesh: Callable[[str], None]
    ) -> Machine:
        """Assemble it; nothing runs yet. Raises HostTrouble, Unreachable, UsageError."""
        isolated = isolation.decide(given.isolation)
        log.info("%s", isolated.meaning)
        rooms = Rooms(given.home / "run") if isolated.is_on else None
        if rooms is not None:
            await threads.run(rooms.open)
        database = await threads.run(state.open, given.state_url)
        if given.seat is not None:
            database.require(partial(terms.require, number=await database.run(terms.begin)))
        node = await database.run(_node_name)
        trust_domain = await database.run(_trust_domain, given.trust_domain)
        mesh = Mesh(home=given.home, node=node, on_event=on_mesh, lives=given.lives, trust_domain=trust_domain)
        ports = Ports(
            database=database,
            allocate=lambda taken: engine_ports.allocate({*taken, *engine.ports}),
            taken=lambda held: _taken_by_others(held, mesh=mesh, is_isolated=isolated.is_on),
        )
        engine = Engine(
            home=given.home,
            node=node,
            ledger=_Ledger(database),
            publish=partial(_publish, mesh),
            on_event=on_event,
            rooms=rooms,
            held=lambda: {*ports.held.values()},
        )
        await ports.open()
        ingress_port = await _ingress(given, ports, holds=mesh.holds)
        gateway = await _gateway(given, ports, holds=mesh.holds)
        stores = Stores(home=given.home, engine=engine, credentials=Credentials(database))
        target = Local(
            home=given.home,
            engine=engine,
            mesh=mesh,
            ports=ports,
            scheduler=Scheduler(),
            inherited=_inherited(given.home, os.environ),
            ingress_port=ingress_port,
            realm=lambda: Realm(trust_domain, mesh.trust.federation.neighbours(), gateway),
            tracing=given.tracing,
            rooms=rooms,
            stand_ins=given.stand_ins,
            stores=stores,
        )
        return cls(given, node, isolated, rooms, database, mesh, engine, ports, ingress_port, gateway, stores, target)

    @property
    def home(self) -> Path:
        return self.given.home

    def summary(self) -> dict[str, Any]:
        """Its part of the status view."""
        return {
            "ingress": f"http://127.0.0.1:{self.ingress_port}",
            "envoy": {"pid": self.mesh.pid},
            "trust": trusts.summary(self.mesh.trust) | {"gateway": f"{self.gateway.host}:{self.gateway.port}"},
            "isolation": self.isolated.kind,
            "isolation_reason": self.isolated.reason,
        }

    async def close(self) -> None:
        """Let go of it; processes and Envoy go on serving."""
        await self.engine.close()
        await self.mesh.close()
        await self.database.close()


class _Ledger:
    """The engine's ledger, kept in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, record: dict[str, Any]) -> None:
        await self._database.run(replicas.put, record)

    async def remove(self, identifier: str) -> None:
        await self._database.run(replicas.remove, identifier)

    async def all(self) -> list[dict[str, Any]]:
        return await self._database.run(replicas.all)


async def _publish(mesh: Mesh, key: Key, serving: Iterable[Serving]) -> None:
    listed = [Replica(one.port, one.zone, one.rank, one.is_ready) for one in serving]
    await mesh.publish(key.app, key.name, version=key.version, ports=listed)


def _node_name(connection: Any) -> str:
    """This home's name on the machine: the mark that its processes carry."""
    name = settings.get(connection, "node")
    if name is None:
        name = secrets.token_hex(8)
        settings.put(connection, "node", value=name)
    return name


def _trust_domain(connection: Any, asked: str) -> str:
    """The trust domain that this home took at its first start. Raises UsageError for another: every certificate has it in its name."""
    name = settings.get(connection, "trust_domain")
    if name is None:
        name = asked or TRUST_DOMAIN
        settings.put(connection, "trust_domain", value=name)
    if asked and asked != name:
        raise UsageError(
            say("this home's trust domain is {name}, not {asked}", name=name, asked=asked),
            hint=say("unset AIC_TRUST_DOMAIN, or use another AIC_HOME"),
        )
    return name


def _taken_by_others(held: Mapping[str, int], *, mesh: Mesh, is_isolated: bool) -> set[str]:
    """The names of doors whose port some other program has. Those in network namespaces have no others beside them."""
    doors = {name: port for name, port in held.items() if nodes.is_in_sight(name, is_isolated=is_isolated)}
    busy = {name for name, port in doors.items() if not engine_ports.is_free(port)}
    ours = mesh.held() if busy else set()
    return {name for name in busy if doors[name] not in ours}


async def _ingress(given: Settings, ports: Ports, *, holds: Callable[[int], bool]) -> int:
    """The port at which the machine's applications are asked."""
    preferred = 0 if given.is_isolated else given.ingress_port
    return await ports.prefer("ingress", port=preferred, is_free=lambda port: engine_ports.is_free(port) or holds(port))


async def _gateway(given: Settings, ports: Ports, *, holds: Callable[[int], bool]) -> Gateway:
    """Where workloads of other nodes come in, should there be any."""
    if given.gateway is not None:
        return given.gateway
    preferred = 0 if given.is_isolated else GATEWAY_PORT
    port = await ports.prefer("gateway", port=preferred, is_free=lambda port: engine_ports.is_free(port) or holds(port))
    return Gateway("127.0.0.1", port)


def _inherited(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment, with a `python` at the end of PATH for machines that only have `python3`."""
    path = environ.get("PATH", os.defpath)
    if shutil.which("python", path=path):
        return dict(environ)
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "python"
    if not link.is_symlink():
        link.symlink_to(getattr(sys, "_base_executable", sys.executable))
    return {**environ, "PATH": f"{path}:{folder}"}
