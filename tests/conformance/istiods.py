"""The stage of Istio: our rendered resources, read by a real istiod, in force in plain Envoys that the real pilot-agent feeds.

What a Kubernetes cluster would add stands here: the service and its endpoints, and, since nothing redirects connections on this loopback,
the addresses on which each sidecar listens. The Envoys live through all cases; each case replaces istiod's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.mesh import istio as rendering
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Manifest, Place
from tests.conformance import clients, neighbours
from tests.conformance.clients import Door
from tests.conformance.replicas import Replica
from tests.conformance.stages import APP, HERE, PORTS, Stage, node, until, zone
from tests.servers import istio, kubernetes_stub
from tests.servers.istio import Workload

PLACE = Place(APP, hosts=(f"{APP}.localhost",))
PORT, MARKER = 80, 15999
GATEWAY = "127.0.1.100"
ADDRESSES = {"web": "127.0.1.50", "other": "127.0.1.60", "v1-1": "127.0.1.1", "v1-2": "127.0.1.2", "v2-1": "127.0.1.3"}
ALL = tuple(ADDRESSES)
_PROTOCOLS = {"http": "HTTP", "http2": "HTTP2", "tcp": "TCP"}


def workloads(names: Collection[str] = ALL) -> list[Workload]:
    """The gateway, and the pods of these names."""
    ingress, account = PLACE.ingress.split("/")
    found = [Workload("gateway", ingress, account, GATEWAY, 0, {"istio": "ingressgateway"}, kind="router", zone=HERE)]
    for at, (name, address) in enumerate(ADDRESSES.items()):
        if name not in names:
            continue
        app = "api" if name in PORTS else name
        found.append(Workload(name, APP, app, address, at + 1, labels(name), zone=HERE))
    return found


def labels(name: str) -> dict[str, str]:
    if name not in PORTS:
        return {"app": name}
    return {"app": "api", "version": name.partition("-")[0], "replica": name}


class Istio(Stage):
    name = "istio"
    ingress_identity = "/ns/{}/sa/{}".format(*PLACE.ingress.split("/"))

    def __init__(
        self, replicas: Mapping[str, Replica], *, folder: Path, istiod: istio.Istiod, names: Collection[str] = ALL
    ) -> None:
        super().__init__(replicas, folder=folder)
        self._istiod, self._workloads, self._generation, self._names = istiod, workloads(names), 0, names
        self._rejected: dict[str, int] = {}

    async def apply(self, text: str) -> None:
        self._generation += 1
        given = node(text, folder=self.folder, domain=PLACE.trust_domain)
        rendered = rendering.render(given, place=PLACE)
        self._istiod.put_mesh(_mesh(rendered))
        self._istiod.put([*_cluster(given, self._names), *_marker(self._generation), *self._here(given, rendered)])
        for one in self._workloads:
            await until(lambda one=one: self._is_in_force(one), what=f"generation {self._generation} at {one.name}")
            await self._check(one)

    def door(self, source: str) -> Door:
        host = f"{APP}.localhost" if source == "ingress" else f"api.{APP}.svc.cluster.local"
        return Door(GATEWAY if source == "ingress" else ADDRESSES[source], PORT, host)

    async def outwards(self, source: str, host: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (ADDRESSES[source], port))
        return made

    def far(self, source: str) -> Door:
        return Door(ADDRESSES[source], PORT, f"pay.bank.{neighbours.DOMAIN}")

    def gateway(self) -> tuple[str, int, str]:
        return GATEWAY, 15443, f"api.{APP}.{PLACE.trust_domain}"

    def roots(self) -> Path:
        return self._istiod.root

    def inner(self) -> tuple[str, int]:
        return ADDRESSES["v1-1"], PORT

    def _here(self, node: Node, rendered: list[Manifest]) -> Iterator[Manifest]:
        """The rendered resources with what this loopback makes necessary."""
        for one in rendered:
            if one["kind"] == "Gateway":
                yield _changed(one, servers=[one["spec"]["servers"][0] | {"bind": GATEWAY}])
            elif one["kind"] == "DestinationRule":
                yield self._renewed(one)
            elif one["kind"] == "Sidecar":
                yield from _sidecars(node, one)
            elif one["kind"] != "IstioOperator":
                yield one

    def _renewed(self, rule: Manifest) -> Manifest:
        """Another timeout each time: clusters begin anew, with no ejection and no connection from the last case."""
        policy = rule["spec"]["trafficPolicy"]
        pool = policy.get("connectionPool", {})
        tcp = pool.get("tcp", {}) | {"connectTimeout": f"{5000 + self._generation}ms"}
        return _changed(rule, trafficPolicy=policy | {"connectionPool": pool | {"tcp": tcp}})

    async def _is_in_force(self, one: Workload) -> bool:
        door = Door(one.address, MARKER, "generation.stage.svc.cluster.local")
        answer = await clients.ask(door, "/", method="GET", headers={}, body=b"")
        if answer.body != str(self._generation).encode():
            return False
        figures = await self._figures(one, "warming")
        return not any(figures.values())

    async def _check(self, one: Workload) -> None:
        """Nothing that istiod sent was refused by Envoy."""
        rejected = sum((await self._figures(one, "update_rejected")).values())
        before, self._rejected[one.name] = self._rejected.get(one.name, 0), rejected
        assert rejected == before, f"{one.name}: Envoy refused: {self._refusals(one)}"

    def _refusals(self, one: Workload) -> str:
        log = (self._istiod.folder / one.name / "log").read_text(errors="replace").splitlines()
        return "\n".join(line for line in log if "rejected" in line or "rror" in line)[-3000:]

    async def _figures(self, one: Workload, pattern: str) -> dict[str, int]:
        door = Door("127.0.0.1", one.admin, "admin")
        path = f"/stats?format=json&filter={pattern}"
        answer = await clients.ask(door, path, method="GET", headers={}, body=b"")
        return {stat["name"]: stat["value"] for stat in json.loads(answer.body)["stats"] if "value" in stat}


def _mesh(rendered: list[Manifest]) -> dict[str, Any]:
    """The mesh's own configuration, as the installation would have it from what was rendered."""
    found: dict[str, Any] = {}
    for one in rendered:
        if one["kind"] == "IstioOperator":
            found |= one["spec"]["meshConfig"]
    return found


def _changed(manifest: Manifest, **spec: Any) -> Manifest:
    return manifest | {"spec": manifest["spec"] | spec}


def _cluster(node: Node, names: Collection[str]) -> Iterator[Manifest]:
    """The Service and its endpoints."""
    [api] = [service for service in node.services if service.name == "api"]
    port = {"number": PORT, "name": "main", "protocol": _PROTOCOLS[api.protocol]}
    fields = {"location": "MESH_INTERNAL", "resolution": "STATIC", "addresses": ["240.240.0.10"], "ports": [port]}
    hosts = [f"api.{APP}.svc.cluster.local"]
    yield _networking("ServiceEntry", "api", APP, hosts=hosts, workloadSelector={"labels": {"app": "api"}}, **fields)
    for name in [name for name in PORTS if name in names]:
        given = labels(name) | {"security.istio.io/tlsMode": "istio"}
        spec = {"address": ADDRESSES[name], "ports": {"main": PORT}, "serviceAccount": "api", "labels": given}
        place = zone(node, name)
        yield _networking("WorkloadEntry", name, APP, **spec, **({"locality": place} if place else {}))


def _marker(generation: int) -> Iterator[Manifest]:
    """A host that answers which generation of the files is in force, at every Envoy."""
    host, port = "generation.stage.svc.cluster.local", {"number": MARKER, "name": "http", "protocol": "HTTP"}
    fields = {"location": "MESH_INTERNAL", "resolution": "STATIC", "ports": [port]}
    yield _networking("ServiceEntry", "generation", "stage", hosts=[host], addresses=["240.240.0.11"], **fields)
    servers = [{"port": port, "hosts": ["*"], "bind": GATEWAY}]
    yield _networking("Gateway", "generation", "stage", selector={"istio": "ingressgateway"}, servers=servers)
    answer = {"directResponse": {"status": 200, "body": {"string": str(generation)}}}
    yield _networking(
        "VirtualService", "generation", "stage", hosts=[host], gateways=["generation", "mesh"], http=[answer]
    )


def _sidecars(node: Node, rendered: Manifest) -> Iterator[Manifest]:
    """For each of the workload's replicas one, with its own addresses. `other` sees the whole mesh, whatever was rendered for it: who
    is refused must be refused by the service's side. To the outside it is its Sidecar that refuses."""
    app = rendered["metadata"]["name"]
    [api] = [service for service in node.services if service.name == "api"]
    for name, address in ADDRESSES.items():
        if labels(name)["app"] != app:
            continue
        hosts = ["*/*"] if app == "other" and not node.egresses else rendered["spec"]["egress"][0]["hosts"]
        doors = {"bind": address, "captureMode": "NONE"}
        main = {"port": {"number": PORT, "name": "main", "protocol": _PROTOCOLS[api.protocol]}, "hosts": hosts}
        marker = {"port": {"number": MARKER, "name": "http", "protocol": "HTTP"}, "hosts": ["stage/*"]}
        egress = [marker | doors] if app == "api" else [main | doors, marker | doors]
        outwards = _outwards(node, rendered, taken={PORT, MARKER})
        held = {key: value for key, value in rendered["spec"].items() if key == "outboundTrafficPolicy"}
        spec: dict[str, Any] = {"workloadSelector": {"labels": labels(name)}, "egress": egress, **held}
        if app != "api":
            spec["egress"] += [one | doors for one in outwards]
        if app == "api":
            spec["ingress"] = [{"port": main["port"], **doors, "defaultEndpoint": f"127.0.0.1:{PORTS[name]}"}]
        yield rendered | {"metadata": {"name": f"{app}-{name}", "namespace": APP}, "spec": spec}


def _outwards(node: Node, rendered: Manifest, *, taken: set[int]) -> Iterator[dict[str, Any]]:
    """A port for each that anybody needs outside: nothing leads connections to the Envoy but that it listens there. All workloads have
    them, so that what is refused is refused by what was rendered."""
    protocols = {"https": "TLS", "http": "HTTP", "tcp": "TCP"}
    for number, scheme in sorted({one.port: one.scheme for one in node.egresses}.items()):
        if number not in taken:
            port = {"number": number, "name": f"outside-{number}", "protocol": protocols[scheme]}
            yield {"port": port, "hosts": rendered["spec"]["egress"][0]["hosts"]}


def _networking(kind: str, name: str, namespace: str, **spec: Any) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


@contextlib.asynccontextmanager
async def staged(
    replicas: Mapping[str, Replica], *, folder: Path, names: Collection[str] = ALL
) -> AsyncIterator[Istio]:
    """In the network of this thread (`networks.own`), with the pods of these names."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(kubernetes_stub.running("default", "istio-system", APP, "stage"))
        istiod = stack.enter_context(istio.istiod(folder, kubernetes=port))
        stage = Istio(replicas, folder=folder, istiod=istiod, names=names)
        for one in workloads(names):
            stack.enter_context(istio.workload(istiod, one))
        yield stage
