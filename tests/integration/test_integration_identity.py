"""Certificates and roots that change under load: no request fails, no long connection is cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.mesh.envoy import clusters
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.rotations import Lives, Root
from benchmarks.loads import Load
from benchmarks.products import Product, product
from tests.mesh import stages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class Socket:
    """A websocket that stays open, and counts the answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.answers = 0

    async def ask(self) -> None:
        self._writer.write(b"still there")
        async with asyncio.timeout(10):
            assert await self._reader.readexactly(11) == b"STILL THERE"
        self.answers += 1

    async def ask_for_ever(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(port: int) -> AsyncIterator[Socket]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    socket = Socket(reader, writer)
    asking = asyncio.create_task(socket.ask_for_ever())
    try:
        yield socket
        assert not asking.done(), asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        writer.close()


@contextlib.asynccontextmanager
async def running(home: Path, lives: Lives, **options: Any) -> AsyncIterator[Mesh]:
    mesh = Mesh(home=home, lives=lives, **options)
    await mesh.start()
    try:
        yield mesh
    finally:
        await mesh.stop()


async def rotated_under_load(home: Path, *, lives: Lives, seconds: float) -> tuple[stages.Load, Socket, Counter[str]]:
    """Load and a websocket through the mesh for so long; which certificates were shown."""
    stage, serials = stages.Stage(), Counter[str]()
    async with running(home, lives) as mesh, stages.Replica("orders") as orders:
        await mesh.apply(stage.node())
        await stages.publish(mesh, "orders", orders)
        async with opened(stage.ports["gw-orders"]) as socket, stages.Load(stage.ports["gw-orders"], clients=4) as load:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                serials[next(svid.serial for svid in mesh.trust.svids() if svid.name == "orders")] += 1
        wanted = json.loads((home / "mesh" / "sds" / "shop~orders.json").read_bytes())["version_info"]
        figures = await mesh._admin.stats(r"^sds\.shop/orders\.(version_text|update_(success|rejected))$")
        shown = {item["name"].rpartition(".")[2]: item["value"] for item in figures["stats"]}
        assert shown["version_text"] == wanted and shown["update_rejected"] == 0, "Envoy shows the last one"
        assert mesh.trust.trouble == "" and (mesh.trust.left() or 0) > 0
    return load, socket, serials


@pytest.mark.parametrize("hop_life", [3600.0, 1.0], ids=["kept hops", "short hops"])
async def test_certificates_that_change_every_second_fail_no_request_and_cut_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hop_life: float
) -> None:
    monkeypatch.setattr(clusters, "HOP_LIFE", hop_life)
    load, socket, serials = await rotated_under_load(tmp_path, lives=Lives(leaf=20, renewed=0.05), seconds=12)
    assert load.failed == []
    assert load.done > 100 and socket.answers > 20
    assert len(serials) >= 4, "they did change"


@pytest.mark.slow
async def test_certificates_that_change_every_ten_seconds_for_two_minutes(tmp_path: Path) -> None:
    load, socket, serials = await rotated_under_load(tmp_path, lives=Lives(leaf=20), seconds=120)
    print(f"{load.done} requests, {len(load.failed)} failed, {len(serials)} certificates, {socket.answers} answers")  # noqa: T201
    assert load.failed == []
    assert len(serials) >= 10


def step(mesh: Mesh, old: Root) -> int:
    """How far the replacement is: 0 while the old root signs, 1 while it is still known, 2 when it is gone."""
    if mesh.trust.signer == old.name:
        return 0
    return 1 if old.name in {root.name for root in mesh.trust.roots} else 2


async def test_a_root_is_replaced_under_load_by_daemons_that_come_and_go(tmp_path: Path) -> None:
    """Each phase is seen by another Mesh: the one before lets go without a word, as when it was killed."""
    lives, stage, told = Lives(leaf=12, ahead=6), stages.Stage(), list[str]()
    first = Mesh(home=tmp_path, lives=lives, on_event=told.append)
    await first.start()
    async with stages.Replica("orders") as orders:
        await first.apply(stage.node())
        await stages.publish(first, "orders", orders)
        [old] = first.trust.roots
        async with opened(stage.ports["gw-orders"]) as socket, stages.Load(stage.ports["gw-orders"], clients=4) as load:
            await first.trust.rotate()
            await first.trust.rotate()
            assert len(first.trust.roots) == 2 and first.trust.signer == old.name
            await first.close()
            for wanted in range(3):  # a busy machine may be further than that: no step is ever taken back
                mesh = Mesh(home=tmp_path, lives=lives, on_event=told.append)
                await mesh.start()
                await stages.until(lambda: step(mesh, old) >= wanted, seconds=90)  # noqa: B023
                await mesh.close()
        last = Mesh(home=tmp_path, lives=lives)
        await last.start()
        await last.stop()
    assert load.failed == [] and load.done > 100 and socket.answers > 20
    assert any("it signs from" in text for text in told)
    assert "the new root certificate signs from now on" in told
    assert "the former root certificate left the trust bundle" in told


HELLO = """\
app: hello
services:
  web:
    run: python server.py
    public: /
    needs: [store]
  store:
    run: python server.py
"""
ANSWERS = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        url = os.environ.get("STORE_URL")
        raw = urlopen(url, timeout=9).read() if url else b"stored"
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@contextlib.contextmanager
def hello(folder: Path) -> Iterator[Product]:
    """`web` calls `store`, on a home of their own."""
    with product() as made:
        folder.mkdir()
        (folder / "server.py").write_text(ANSWERS)
        (folder / "aic.yaml").write_text(HELLO)
        made.aic("up", "-d", str(folder))
        yield made


def verified(leaf: Path, roots: Path, purpose: str) -> str:
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(roots), str(leaf)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_third_parties_verify_what_is_issued_and_people_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIC_TRUST_DOMAIN", "prod.example.org")
    with hello(tmp_path / "hello") as made:
        rows = json.loads(made.aic("mesh", "identities", "--json"))
        names = {row["id"] for row in rows}
        assert names == {f"spiffe://prod.example.org/ns/hello/sa/{name}" for name in ("ingress", "store", "web")}
        (tmp_path / "roots.pem").write_text(made.aic("mesh", "bundle", "--format", "pem"))
        document = json.loads(made.aic("mesh", "bundle"))
        assert {key["use"] for key in document["keys"]} == {"x509-svid"} and document["spiffe_refresh_hint"] > 0
        for row in rows:
            secret = made.home / "mesh" / "sds" / f"hello~{row['name']}.json"
            pair = json.loads(secret.read_text())["resources"][0]["tls_certificate"]
            (tmp_path / "leaf.pem").write_text(pair["certificate_chain"]["inline_string"])
            for purpose in ("sslclient", "sslserver"):
                assert verified(tmp_path / "leaf.pem", tmp_path / "roots.pem", purpose).endswith("OK")
            assert "OK" not in verified(tmp_path / "leaf.pem", tmp_path / "roots.pem", "crlsign")
            shown = subprocess.run(
                ["openssl", "x509", "-in", str(tmp_path / "leaf.pem"), "-noout", "-serial", "-ext", "subjectAltName,keyUsage"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout  # fmt: skip
            assert f"URI:{row['id']}\n" in shown and "Digital Signature\n" in shown and "Certificate Sign" not in shown
            assert row["serial"].upper() in shown
        trust = made.status()["trust"]
        assert trust["domain"] == "prod.example.org" and 0 < trust["seconds_left"] <= 3600
        [finding] = [f for f in json.loads(made.aic("doctor", "--json", check=False)) if f["name"] == "certificates"]
        assert finding["state"] == "ok" and "3; the first ends in" in finding["message"]
        made.aic("server", "stop", "--keep")
        made._environment["AIC_TRUST_DOMAIN"] = "other.example.org"
        with pytest.raises(RuntimeError, match=r"trust domain is prod\.example\.org"):
            made.aic("server", "start")
        made._environment["AIC_TRUST_DOMAIN"] = "prod.example.org"
        made.aic("server", "start")


def test_a_daemon_that_is_killed_in_every_phase_of_a_rotation_loses_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIC_CERT_LIFE", "16s")
    monkeypatch.setenv("AIC_ROOT_AHEAD", "8")
    with hello(tmp_path / "hello") as made, Load(made.ingress, rate=20, connections=4).running(longest=200) as load:
        [old] = made.status()["trust"]["roots"]
        made.aic("mesh", "rotate-root")
        for wanted in (["signs", "prepared"], ["leaving", "signs"], ["signs"]):
            deadline = time.monotonic() + 90
            while (found := made.status()["trust"]["roots"]) and old["serial"] in {root["serial"] for root in found}:
                if [root["state"] for root in found] == wanted:
                    break
                assert time.monotonic() < deadline, (wanted, found)
                time.sleep(0.1)
            os.kill(made.status()["daemon"]["pid"], signal.SIGKILL)
            made.aic("server", "start")
        [new] = made.status()["trust"]["roots"]
        assert new["serial"] != old["serial"]
    assert load.failed == 0 and load.results["ok"] > 100, load.results
