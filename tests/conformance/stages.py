"""What a case is played on: the callers `web` and `other` and the public door, and `api` with two replicas of v1 and one of v2."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import textwrap
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from aiculturekit.mesh.nodes import Gateway, Node, Realm
from aiculturekit.plan import resources
from aiculturekit.spec import load
from aiculturekit.targets import nodes
from tests.conformance import clients, neighbours
from tests.conformance.clients import Answer, Door
from tests.conformance.replicas import Replica, Request

APP = "shop"
PORTS = {"v1-1": 9001, "v1-2": 9002, "v2-1": 9003}
"""Replica -> its port on the loopback."""
HERE = "eu-west/a"
"""Where all callers stand."""


STAND_INS = {
    "https://bank.example": ("127.0.0.1", 9443),
    "https://*.shops.example:8443": ("127.0.0.1", 9443),
    "http://news.example": ("127.0.0.1", 9001),
    "tcp://db.example:5432": ("127.0.0.1", 9003),
}
"""What answers here in the place of what lies outside, by the need that names it."""


_FIXED = """app: shop
services:
  web: {run: x, needs: NEEDS}
  other: {run: x}
  api:
    run: x
"""
_USUAL = {"public": "/", "versions": "{v1: {}, v2: {weight: 0}}"}


def application(api: str, web: str = "") -> str:
    """The application file with these keys of `api` and these needs of `web` (YAML as a user writes it, or JSON)."""
    given = yaml.safe_dump(json.loads(api)) if api.startswith("{") else api.strip("\n")
    usual = "".join(f"{key}: {value}\n" for key, value in _USUAL.items() if not re.search(f"^{key}:", given, re.M))
    return _FIXED.replace("NEEDS", web or "[api]") + textwrap.indent(usual + given, "    ") + "\n"


def node(text: str, *, folder: Path, domain: str = "aic.local", gateway: Gateway | None = None) -> Node:
    """As the node's target would derive it from the application's documents. `folder` holds files that the text names. A text that names
    the other trust domain has it as a neighbour."""
    given = load.parse(text, file=folder / "aic.yaml")
    files = {name: path.read_text() for name, path in resources.named_files(given).items()}
    documents = {APP: resources.documents(given, sources={}, files=files)}
    others = (neighbours.known(),) if neighbours.DOMAIN in text else ()
    realm = Realm(domain, neighbours=others, gateway=gateway if others else None)
    ports = {name: 20000 + at for at, name in enumerate(nodes.port_names(documents))}
    return nodes.node(documents, ports=ports, ingress_port=8080, stand_ins=STAND_INS, realm=realm)


def zone(given: Node, name: str) -> str:
    """Where a replica stands, spread as the engine does; "" where api names no places."""
    [api] = [service for service in given.services if service.name == "api"]
    zones, number = api.traffic.zones, int(name.partition("-")[2])
    return zones[(number - 1) % len(zones)] if zones else ""


class Stage(ABC):
    """The same requests, whichever mesh carries them."""

    name: str
    ingress_identity: str
    """The path of the SPIFFE ID under which the public door calls."""

    def __init__(self, replicas: Mapping[str, Replica], *, folder: Path) -> None:
        self.replicas, self.folder = replicas, folder

    @abstractmethod
    async def apply(self, text: str) -> None:
        """Make the application's rules be in force; what was, is forgotten. Returns when they are."""

    @abstractmethod
    def door(self, source: str) -> Door:
        """Where `ingress`, `web` or `other` enters to reach api."""

    @abstractmethod
    def inner(self) -> tuple[str, int]:
        """Address and port at which a version of api is called with mutual TLS."""

    @abstractmethod
    def far(self, source: str) -> Door:
        """Where the workload reaches its need of the other trust domain."""

    @abstractmethod
    def gateway(self) -> tuple[str, int, str]:
        """Address and port for calls from other trust domains, and the name that greets api there."""

    @abstractmethod
    def roots(self) -> Path:
        """The roots of the stage's own trust domain."""

    @abstractmethod
    async def outwards(self, source: str, host: str, port: int) -> socket.socket:
        """A connection of the workload to what it takes for this host; as its Envoy meets it. Raises OSError."""

    async def ask(
        self, path: str = "/", *, source: str = "web", method: str = "GET", body: bytes = b"", **headers: str
    ) -> Answer:
        """`_` in a header's name stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await clients.ask(self.door(source), path, method=method, headers=given, body=body)

    async def many(self, count: int, path: str = "/", *, at_once: int = 4, **options: Any) -> list[Answer]:
        """So many times the same, never more than `at_once` under way."""
        gate = asyncio.Semaphore(at_once)

        async def one() -> Answer:
            async with gate:
                return await self.ask(path, **options)

        return list(await asyncio.gather(*(one() for _ in range(count))))

    async def versions(self, count: int, path: str = "/", **options: Any) -> Counter[str]:
        return Counter(answer.version for answer in await self.many(count, path, **options))

    @property
    def seen(self) -> list[Request]:
        """What all replicas saw."""
        return [request for replica in self.replicas.values() for request in replica.seen]

    def behave(self, *names: str, **behaviour: Any) -> None:
        """The replicas of these names, or all, do so from now on."""
        for name in names or self.replicas:
            for key, value in behaviour.items():
                setattr(self.replicas[name].behaviour, key, value)


async def until(condition: Callable[[], Awaitable[object]], *, seconds: float = 20.0, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await condition():
                return
        assert time.monotonic() < deadline, f"it did not come true: {what}"
        await asyncio.sleep(0.02)
