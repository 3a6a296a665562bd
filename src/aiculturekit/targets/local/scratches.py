"""A server that is started on a copy of data, asked, and ended: to see that the copy is good."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiculturekit import threads
from aiculturekit.engine import host, logs, ports
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.resources.servers import Ground, Server

_LOOK = 0.05


@contextlib.asynccontextmanager
async def running(server: Server, ground: Ground) -> AsyncIterator[None]:
    """The server on `ground`, ready. Raises Failed with its last lines when it does not come up."""
    launch = await threads.run(server.prepare, ground)
    port = ports.allocate(set())
    log = ground.folder / "scratch.log"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        **launch.environment,
        "PORT": str(port),
    }
    pid = host.spawn(["/bin/sh", "-c", launch.command], log=log, environment=environment, directory=ground.folder)
    ending = asyncio.ensure_future(host.ended(pid))
    try:
        deadline = time.monotonic() + launch.startup
        while not await _is_ready(str(launch.probe["command"]), environment, ground.folder):
            if ending.done() or time.monotonic() > deadline:
                raise Failed(say("the copy does not start: {said}", said="\n".join(logs.last_lines(log))))
            await asyncio.sleep(_LOOK)
        yield
    finally:
        host.signal_group(pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ending), launch.grace)
        host.signal_group(pid, signal.SIGKILL)
        await ending


async def _is_ready(command: str, environment: dict[str, str], directory: Path) -> bool:
    pid = host.spawn(["/bin/sh", "-c", command], log=Path(os.devnull), environment=environment, directory=directory)
    return await host.ended(pid) == 0
