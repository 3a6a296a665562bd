"""Asking a replica whether it is well. Every answer is a Verdict; nothing is raised."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiculturekit import namespaces
from aiculturekit.engine import host
from aiculturekit.engine.rooms import Room
from aiculturekit.engine.workloads import Probe
from aiculturekit.language import say

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    is_well: bool
    message: str


async def ask(
    probe: Probe,
    *,
    port: int,
    directory: Path,
    environment: Mapping[str, str],
    room: Room | None = None,
    is_runtime: bool = False,
) -> Verdict:
    """One question, asked in the replica's room and answered within the probe's timeout. `is_runtime`: its command is one of the runtime
    of containers."""
    try:
        async with asyncio.timeout(probe.timeout):
            if probe.kind == "exec":
                return await _exec(probe.command, directory, environment, room, is_runtime)
            reader, writer = await _dialled(port, room)
            return await _http(reader, writer, port, probe.path) if probe.kind == "http" else _tcp(writer)
    except TimeoutError:
        return Verdict(False, say("no answer within {seconds:g} s", seconds=probe.timeout))
    except OSError as error:
        return Verdict(False, _reason(error))


async def _dialled(port: int, room: Room | None) -> Streams:
    if room is None:
        return await asyncio.open_connection("127.0.0.1", port)
    made = namespaces.connection(room.namespace)
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    return await asyncio.open_connection(sock=made)


def _tcp(writer: asyncio.StreamWriter) -> Verdict:
    writer.close()
    return Verdict(True, say("accepts connections"))


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str) -> Verdict:
    """A GET of HTTP/1.1 (RFC 9112): of the answer only the status line matters."""
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: aic-probe\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        await writer.drain()
        line = (await reader.readline()).decode("latin-1").split()
    except ValueError:  # a line without an end
        line = []
    finally:
        writer.close()
    if len(line) < 2 or not line[0].startswith("HTTP/") or not line[1].isdigit():
        return Verdict(False, say("the answer is not HTTP"))
    return Verdict(200 <= int(line[1]) < 400, f"GET {path}: {line[1]}")


async def _exec(
    command: str, directory: Path, environment: Mapping[str, str], room: Room | None, is_runtime: bool
) -> Verdict:
    log = Path(os.devnull)
    start = partial(host.spawn, ["/bin/sh", "-c", command], log=log, environment=environment, directory=directory)
    pid = room.start(start, is_runtime=is_runtime) if room else start()
    is_done = False
    try:
        code = await host.ended(pid)
        is_done = True
    finally:
        if not is_done:
            host.signal_group(pid, signal.SIGKILL)
            await host.ended(pid)
    return Verdict(code == 0, say("exit code {code}", code=code))


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return say("nothing listens on its port")
    return str(error)
