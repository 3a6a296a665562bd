"""Certificates over one stream with the real Envoy: any number of identities, daemons that go and come, an Envoy that nobody serves."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh import binaries, watchers
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.envoy import names
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Caller, Node, Service, Version
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MANY = 150
"""Identities: more than the files that a user may watch by default, 128."""


@contextlib.asynccontextmanager
async def served(home: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(home=home)
    await mesh.start()
    try:
        yield mesh
    finally:
        await mesh.close()


def crowd(stage: Any, count: int) -> Node:
    """The stage's node with `count` workloads more, each of them with a certificate; every one may be called by `gw`."""
    node, taken = stage.node(), set(stage.ports.values())
    ports = (port for port in stages.free_ports(3 * count) if port not in taken)
    more = [(f"s{at}", next(ports), next(ports)) for at in range(count)]
    services = [Service("crowd", name, (Version("v1", port),), callers=("s0",)) for name, port, _ in more]
    return dataclasses.replace(
        node,
        services=(*node.services, *services),
        callers=(*node.callers, *(Caller("crowd", name, port) for name, _, port in more)),
    )


def watches(pid: int | None) -> int:
    """Inotify instances of a process."""
    links = [descriptor.readlink() for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    return sum("inotify" in str(link) for link in links)


@pytest.mark.skipif(watchers.limit() is None, reason="no inotify here")
async def test_more_identities_take_no_more_watches(tmp_path: Path) -> None:
    stage = stages.Stage()
    async with stages.running(tmp_path) as mesh, stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        few = watches(mesh.pid)
        await mesh.apply(crowd(stage, MANY))
        assert watches(mesh.pid) == few <= 8
        assert len(mesh.trust.svids()) > MANY
        answer = await mesh._admin.stats(r"^sds\.crowd/.*\.version_text$")
        assert len([item for item in answer["stats"] if item["value"]]) == MANY, "each has its certificate"
        assert (await stages.get(stage.ports["gw-orders"])).status == 200


async def test_the_next_daemon_serves_a_new_identity_and_new_certificates(tmp_path: Path) -> None:
    stage = stages.Stage()
    async with stages.Replica("orders") as orders:
        try:
            async with served(tmp_path) as first:
                await first.apply(stage.node())
                await stages.publish(first, "orders", orders)
            async with stages.Load(stage.ports["gw-orders"], clients=2) as load, served(tmp_path) as second:
                await second.apply(crowd(stage, 3))
                await second._certificates.ensure([("shop", "gw")], trust_domain="aic.local", now=2**40)
                wanted = _version(tmp_path, "shop/gw")

                async def is_shown() -> bool:
                    answer = await second._admin.stats(r"^sds\.shop/gw\.version_text$")
                    return [item["value"] for item in answer["stats"]] == [wanted]

                await stages.until_async(is_shown, seconds=30)
                await stages.until(lambda: load.done > 50, seconds=30)
            assert load.failed == []
        finally:
            await Mesh(home=tmp_path).stop()


async def test_an_envoy_that_nobody_serves_comes_up_and_has_its_certificates_when_somebody_does(tmp_path: Path) -> None:
    stage = stages.Stage()
    async with stages.Replica("orders") as orders:
        async with served(tmp_path) as first:
            await first.apply(stage.node())
            await stages.publish(first, "orders", orders)
        await Mesh(home=tmp_path).stop()
        with _envoy(tmp_path):
            admin = Admin(tmp_path / "mesh" / "admin.sock")
            await stages.until_async(admin.is_ready, seconds=30)
            assert (await stages.get(stage.ports["gw-orders"])).status == 503, "it has no certificate to show"
            discovery = Mesh(home=tmp_path)._discovery
            await discovery.open()

            async def is_answered() -> bool:
                return (await stages.get(stage.ports["gw-orders"])).status == 200

            await stages.until_async(is_answered, seconds=30)
            await discovery.close()
            await asyncio.sleep(0.2)
            assert await is_answered(), "nobody is needed for it to serve"


@contextlib.contextmanager
def _envoy(home: Path) -> Iterator[None]:
    """As somebody would start it by hand."""
    command = [str(binaries.find()), "-c", str(home / "mesh" / names.BOOTSTRAP), "--concurrency", "1"]
    with (home / "by-hand.log").open("wb") as log:
        process = subprocess.Popen([*command, "--disable-hot-restart"], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _version(home: Path, secret: str) -> str:
    document = json.loads((home / "mesh" / names.served_file(secret)).read_bytes())
    return str(document["version_info"])
