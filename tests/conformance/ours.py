"""The stage of our own mesh: the node's Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiculturekit import namespaces
from aiculturekit.mesh.envoy import egresses
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Gateway, Node
from aiculturekit.mesh.nodes import Replica as Listening
from tests.conformance import neighbours
from tests.conformance.clients import Door
from tests.conformance.replicas import Replica
from tests.conformance.stages import APP, PORTS, Stage, node, zone


class Ours(Stage):
    name = "ours"
    ingress_identity = f"/ns/{APP}/sa/ingress"

    def __init__(self, replicas: Mapping[str, Replica], *, folder: Path, mesh: Mesh) -> None:
        super().__init__(replicas, folder=folder)
        self._mesh, self._node = mesh, Node(ingress_port=8080)

    async def apply(self, text: str) -> None:
        await self._mesh.apply(Node(ingress_port=8080))
        given = node(text, folder=self.folder, gateway=Gateway("127.0.0.1", 15443))
        self._node = self._apart(given)
        await self._mesh.apply(self._node)
        versions = {version.name for service in self._node.services for version in service.versions}
        for version in sorted(versions):
            standing = [self._replica(name) for name in PORTS if name.startswith(f"{version}-")]
            await self._mesh.publish(APP, "api", version=version, ports=standing)

    def _replica(self, name: str) -> Listening:
        [api] = [service for service in self._node.services if service.name == "api"]
        place = zone(self._node, name)
        return Listening(PORTS[name], place, api.traffic.zones.index(place) if place else 0)

    def _apart(self, given: Node) -> Node:
        """What lies outside is held to the needs of workloads in networks of their own."""
        if not given.egresses:
            return given
        for one in given.callers:
            if not namespaces.is_there(self._network(one.name)):
                namespaces.create(self._network(one.name))
        callers = tuple(dataclasses.replace(one, namespace=str(self._network(one.name))) for one in given.callers)
        return dataclasses.replace(given, callers=callers)

    def _network(self, name: str) -> Path:
        return self.folder / f"network-{name}"

    def leave(self) -> None:
        for path in self.folder.glob("network-*"):
            namespaces.remove(path)

    async def outwards(self, source: str, host: str, port: int) -> socket.socket:
        [caller] = [one for one in self._node.callers if one.name == source]
        at = egresses.loopbacks(self._node, caller)
        found = at.get(host) or at.get(f"*.{host.partition('.')[2]}") or next(iter(at.values()), "127.64.0.1")
        made = namespaces.connection(self._network(source))
        await asyncio.get_running_loop().sock_connect(made, (found, port))
        return made

    def door(self, source: str) -> Door:
        if source == "ingress":
            return Door("127.0.0.1", self._node.ingress_port, f"{APP}.localhost")
        [caller] = [one for one in self._node.callers if one.name == source]
        if "api" in caller.needs:
            return Door("127.0.0.1", caller.needs["api"], "api")
        return Door("127.0.0.1", caller.proxy, "api", is_proxy=True)

    def far(self, source: str) -> Door:
        [caller] = [one for one in self._node.callers if one.name == source]
        [port] = caller.remotes.values()
        return Door("127.0.0.1", port, "pay")

    def gateway(self) -> tuple[str, int, str]:
        return "127.0.0.1", 15443, f"api.{APP}.aic.local"

    def roots(self) -> Path:
        return self.folder / "ca" / "roots.pem"

    def inner(self) -> tuple[str, int]:
        [api] = [service for service in self._node.services if service.name == "api"]
        return "127.0.0.1", api.versions[0].port


@contextlib.asynccontextmanager
async def staged(replicas: Mapping[str, Replica], *, folder: Path) -> AsyncIterator[Ours]:
    mesh = Mesh(home=folder, node="conformance")
    await mesh.start()
    bundle = folder / "neighbour.pem"
    bundle.write_text(neighbours.known().roots)
    address = f"{neighbours.known().host}:{neighbours.known().port}"
    await mesh.trust.federation.add(neighbours.DOMAIN, source=str(bundle), address=address)
    stage = Ours(replicas, folder=folder, mesh=mesh)
    try:
        yield stage
    finally:
        await mesh.stop()
        stage.leave()
