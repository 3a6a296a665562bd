"""Every question gets a verdict in time, whatever answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from aiculturekit.engine import probes
from aiculturekit.engine.probes import Verdict
from aiculturekit.engine.workloads import Probe

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


def answering(raw: bytes, seen: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(raw)
        await writer.drain()
        writer.close()

    return serve


async def ask(probe: Probe, *, port: int = 0, directory: Path = Path("/")) -> Verdict:
    return await probes.ask(probe, port=port, directory=directory, environment={"PATH": os.environ["PATH"], "X": "1"})


@pytest.mark.parametrize(
    ("status", "is_well"),
    [(200, True), (204, True), (302, True), (399, True), (400, False), (404, False), (503, False)],
)
async def test_http_is_well_from_200_to_399(status: int, is_well: bool) -> None:
    seen: list[bytes] = []
    async with server(answering(b"HTTP/1.1 %d Whatever\r\n\r\n" % status, seen)) as port:
        verdict = await ask(Probe("http", path="/ready?deep=1"), port=port)
    assert verdict.is_well is is_well
    assert str(status) in verdict.message
    assert seen[0].startswith(b"GET /ready?deep=1 HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % port in seen[0]


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 ok\r\n", b"x" * 200_000])
async def test_what_does_not_speak_http_is_not_well(raw: bytes) -> None:
    async with server(answering(raw)) as port:
        verdict = await ask(Probe("http"), port=port)
    assert not verdict.is_well
    assert verdict.message


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_nothing_listening_is_said_in_words(kind: str) -> None:
    async with server(answering(b"")) as port:
        pass
    verdict = await ask(Probe(kind), port=port)  # type: ignore[arg-type]
    assert verdict == Verdict(False, "nothing listens on its port")


async def test_a_silent_server_costs_no_more_than_the_timeout() -> None:
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with server(silent) as port:
        before = time.monotonic()
        verdict = await ask(Probe("http", timeout=0.1), port=port)
        assert time.monotonic() - before < 1
        release.set()
    assert not verdict.is_well
    assert "0.1 s" in verdict.message


async def test_tcp_is_well_when_it_accepts() -> None:
    async with server(answering(b"")) as port:
        assert (await ask(Probe("tcp"), port=port)).is_well


@pytest.mark.parametrize(
    ("command", "is_well"), [("true", True), ("false", False), ("exit 7", False), ("no-such-command-here", False)]
)
async def test_exec_is_well_when_it_exits_0(command: str, is_well: bool) -> None:
    assert (await ask(Probe("exec", command=command))).is_well is is_well


async def test_exec_runs_in_the_directory_with_the_environment(tmp_path: Path) -> None:
    verdict = await ask(Probe("exec", command=f'test "$PWD $X" = "{tmp_path} 1"'), directory=tmp_path)
    assert verdict.is_well


async def test_exec_in_a_directory_that_went_is_a_verdict_too(tmp_path: Path) -> None:
    verdict = await ask(Probe("exec", command="true"), directory=tmp_path / "gone")
    assert not verdict.is_well
    assert "gone" in verdict.message


async def test_exec_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 60 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    verdict = await ask(Probe("exec", command=command, timeout=0.2))
    assert not verdict.is_well
    for pid in map(int, pids.read_text().split()):
        await until(lambda pid=pid: not runs(pid))


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)
