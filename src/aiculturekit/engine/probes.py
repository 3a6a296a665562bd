"""Asking a replica whether it is well. Every answer is a Verdict; nothing is raised."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from aiculturekit.engine.workloads import Probe
from aiculturekit.language import say


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    is_well: bool
    message: str


async def ask(probe: Probe, *, port: int, directory: Path, environment: Mapping[str, str]) -> Verdict:
    """One question, answered within the probe's timeout."""
    try:
        async with asyncio.timeout(probe.timeout):
            if probe.kind == "exec":
                return await _exec(probe.command, directory, environment)
            return await (_http(port, probe.path) if probe.kind == "http" else _tcp(port))
    except TimeoutError:
        return Verdict(False, say("no answer within {seconds:g} s", seconds=probe.timeout))
    except OSError as error:
        return Verdict(False, _reason(error))


async def _tcp(port: int) -> Verdict:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return Verdict(True, say("accepts connections"))


async def _http(port: int, path: str) -> Verdict:
    """A GET of HTTP/1.1 (RFC 9112): of the answer only the status line matters."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


async def _exec(command: str, directory: Path, environment: Mapping[str, str]) -> Verdict:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        cwd=directory,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Verdict(code == 0, say("exit code {code}", code=code))


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return say("nothing listens on its port")
    return str(error)
