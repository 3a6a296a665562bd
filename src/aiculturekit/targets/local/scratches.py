"""A server that is started on a copy of data and ended again: to see that the copy is good, or to try something on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator

from aiculturekit import threads
from aiculturekit.engine import host, logs, ports, probes
from aiculturekit.engine.workloads import Probe
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.resources.servers import Ground, Launch, Server

LOG = "scratch.log"
"""What the server says, in the folder of its data."""
_LOOK = 0.02


@contextlib.asynccontextmanager
async def running(server: Server, ground: Ground, *, node: str) -> AsyncIterator[int]:
    """The server on `ground`, ready, by its port of this machine's loopback. `node` marks its processes: the next daemon ends what this one
    leaves. Raises Failed with its last lines when it does not come up."""
    launch = await threads.run(server.prepare, ground)
    port = ports.allocate(set())
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        **launch.environment,
        "PORT": str(port),
        host.NODE: node,
        host.TOKEN: f"scratch-{secrets.token_hex(4)}",
    }
    log = ground.folder / LOG
    directory = launch.directory or ground.folder
    pid = host.spawn(["/bin/sh", "-c", launch.command], log=log, environment=environment, directory=directory)
    ending = asyncio.ensure_future(host.ended(pid))
    try:
        deadline = time.monotonic() + launch.startup
        while not await _is_ready(launch, port, ground, environment):
            if ending.done() or time.monotonic() > deadline:
                raise Failed(say("the copy does not start: {said}", said="\n".join(logs.last_lines(log))))
            await asyncio.sleep(_LOOK)
        yield port
    finally:
        host.signal_group(pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ending), launch.grace)
        host.signal_group(pid, signal.SIGKILL)
        await ending


async def _is_ready(launch: Launch, port: int, ground: Ground, environment: dict[str, str]) -> bool:
    found = await probes.ask(Probe(**launch.probe), port=port, directory=ground.folder, environment=environment)
    return found.is_well
