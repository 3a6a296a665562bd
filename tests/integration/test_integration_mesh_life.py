"""The life of the mesh with the real Envoy: changes under load, rotation, crashes, adoption, what is put back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.mesh import processes
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rules import Match, Pattern, Traffic
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


async def rotate(mesh: Mesh, home: Path) -> None:
    """Everybody gets a new certificate now, and Envoy uses it."""
    certificates = mesh._certificates
    secret = home / "mesh" / "sds" / "shop~orders.json"
    before = secret.read_bytes()
    issued = await certificates.renew(now=time.time() + 13 * 3600)
    assert ("shop", "orders") in issued and secret.read_bytes() != before
    wanted = json.loads(secret.read_bytes())["version_info"]
    for _ in range(100):
        figures = await mesh._admin.stats(r"^sds\.shop/orders\.version_text$")
        if figures["stats"][0]["value"] == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("Envoy did not take up the new certificate")


async def test_swaps_weights_workloads_and_certificates_change_without_a_failed_request(
    mesh: Mesh, stage: Any, tmp_path: Path
) -> None:
    async with stages.Replica("a") as a, stages.Replica("b") as b, stages.Replica("c") as c:
        await mesh.apply(stage.node(versions=stage.split(50, 50)))
        await stages.publish(mesh, "orders", a)
        await stages.publish(mesh, "orders", b, version="v2")
        took: list[float] = []
        async with stages.Load(stage.ports["gw-orders"]) as load:
            for turn in range(100):
                begun = time.monotonic()
                await stages.publish(mesh, "orders", *((a, c), (c,), (a,))[turn % 3])
                took.append(time.monotonic() - begun)
            for turn in range(100):
                await mesh.apply(
                    stage.node(versions=stage.split(100 - turn, turn), traffic=Traffic(timeout=2.0 + turn))
                )
            for turn in range(6):
                node = stage.node(versions=stage.split(50, 50), callers=("gw", "orders") if turn % 2 else ("gw",))
                smaller = Node(stage.ports["ingress"], node.services[:2], node.callers[:1], node.entries)
                await mesh.apply(smaller if turn % 2 else node)
            await rotate(mesh, tmp_path)
            await stages.until(lambda: load.done > 500)
        assert load.failed == []
        assert set(load.names) == {"a", "b", "c"}
        assert sorted(took)[50] < 0.1, "a swap is in force in milliseconds"


async def test_openssl_accepts_the_chain_and_what_is_issued_is_private(mesh: Mesh, stage: Any, tmp_path: Path) -> None:
    await mesh.apply(stage.node())
    secrets = sorted((tmp_path / "mesh" / "sds").glob("shop~*.json"))
    assert len(secrets) == 5
    for secret in secrets:
        pair = json.loads(secret.read_text())["resources"][0]["tls_certificate"]
        (tmp_path / "leaf.pem").write_text(pair["certificate_chain"]["inline_string"])
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            str(tmp_path / "ca" / "roots.pem"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, str(tmp_path / "leaf.pem"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
    for path in [*(tmp_path / "ca").iterdir(), *secrets]:
        assert path.stat().st_mode & 0o077 == 0, path
    for folder in (tmp_path / "ca", tmp_path / "mesh", tmp_path / "mesh" / "sds"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    assert (tmp_path / "mesh" / "admin.sock").stat().st_mode & 0o077 == 0


async def test_a_replica_that_dies_loses_no_get(mesh: Mesh, stage: Any) -> None:
    """The engine's news comes late here: Envoy must find out by itself, and try the other replica."""
    async with stages.Replica("a") as a, stages.Replica("b") as b:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", a, b)
        async with stages.Load(stage.ports["gw-orders"]) as load:
            await stages.until(lambda: load.names["b"] > 50)
            b.die()
            before = load.done
            await stages.until(lambda: load.done > before + 500)
        assert load.failed == []
        posted = [(await stages.get(stage.ports["gw-orders"], method="POST")).status for _ in range(50)]
        assert posted == [200] * 50, "nothing was sent to the dead one, so nothing is lost"


async def test_a_port_that_is_taken_is_named_and_the_former_node_stays(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders, stages.Replica("thief") as thief:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        good = mesh._updates.on_disk()
        stage.ports["extra"], own = thief.port, stage.ports["gw-orders"]
        stage.ports["gw-orders"] = thief.port
        with pytest.raises(HostTrouble, match=f"port {thief.port} on 127.0.0.1 cannot be used"):
            await mesh.apply(stage.node(versions=stage.split(50, 50)))
        stage.ports["gw-orders"] = own
        assert (await stages.get(own)).status == 200
        assert mesh._updates.on_disk() == good
        await mesh.apply(stage.node(versions=stage.split(50, 50)))


async def test_what_envoy_refuses_is_put_back_with_its_own_words(mesh: Mesh, stage: Any) -> None:
    async with stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        good = mesh._updates.on_disk()
        with pytest.raises(Failed, match=r"refused its new configuration: .*HeaderMatcher"):
            await mesh.apply(stage.node(versions=stage.split(50, 50, Match(header={"bad\nname": Pattern(exact="x")}))))
        assert mesh._updates.on_disk() == good
        assert (await stages.get(stage.ports["gw-orders"])).status == 200


async def test_envoy_that_is_killed_is_back_with_the_same_rules(tmp_path: Path, stage: Any) -> None:
    told: list[str] = []
    mesh = Mesh(home=tmp_path, on_event=told.append)
    await mesh.start()
    try:
        async with stages.Replica("orders") as orders:
            await mesh.apply(stage.node())
            await stages.publish(mesh, "orders", orders)
            first, begun = mesh.pid, time.monotonic()
            assert first
            os.kill(first, signal.SIGKILL)
            await stages.until(lambda: mesh.pid not in (None, first) and told, seconds=2)
            assert (await stages.get(stage.ports["gw-orders"])).status == 200
            assert time.monotonic() - begun < 2
            await stages.publish(mesh, "orders")
            assert (await stages.get(stage.ports["gw-orders"])).status == 503
    finally:
        await mesh.stop()
    assert told == ["Envoy ended and was started again"]


async def test_the_next_daemon_takes_over_the_running_envoy(tmp_path: Path, stage: Any) -> None:
    first = Mesh(home=tmp_path)
    await first.start()
    async with stages.Replica("orders") as orders:
        try:
            await first.apply(stage.node())
            await stages.publish(first, "orders", orders)
            pid = first.pid
            await first.close()
            assert (await stages.get(stage.ports["gw-orders"])).status == 200, "nobody is needed for it to serve"
        finally:
            second = Mesh(home=tmp_path)
            await second.start()
        try:
            assert second.pid == pid and second.holds(stage.ports["ingress"]) and not second.holds(1)
            async with stages.Load(stage.ports["gw-orders"], clients=2) as load:
                await second.apply(stage.node())  # before the engine has published anything
                await second.apply(stage.node(traffic=Traffic(timeout=3.0)))
                await stages.until(lambda: load.done > 50)
            assert load.failed == []
        finally:
            await second.stop()
        assert not second.holds(stage.ports["ingress"])


async def test_an_unrecorded_envoy_of_ours_gives_way(tmp_path: Path, stage: Any) -> None:
    first = Mesh(home=tmp_path)
    await first.start()
    await first.apply(stage.node())
    pid = first.pid
    await first.close()
    (tmp_path / "mesh" / "proxy.json").unlink()
    second = Mesh(home=tmp_path)
    await second.start()
    try:
        assert second.pid != pid
        await stages.until(lambda: not is_alive(pid))
        await second.apply(stage.node(traffic=Traffic(timeout=4.0)))
    finally:
        await second.stop()


def is_alive(pid: int | None) -> bool:
    return processes.started(pid or 0) is not None


async def test_a_home_with_a_long_name_works_too(tmp_path: Path, stage: Any) -> None:
    home = tmp_path / ("long" * 20) / ("name" * 20)
    mesh = Mesh(home=home)
    await mesh.start()
    try:
        await mesh.apply(stage.node())
        text = await mesh.prometheus()
        assert "envoy_listener_manager_total_listeners_active" in text
    finally:
        await mesh.stop()
