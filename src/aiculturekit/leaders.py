"""A daemon that sits in a cluster, one of several: it waits until it may lead, and then it is the platform's API and console.

    waits   answers that it lives, and to everything else that another one leads
    leads   from the moment that it has the Lease: it opens the state in a new term, takes up what the one before it left, and serves
    ends    SIGTERM: it lets go of everything and gives the Lease back, so that the next one leads within a second or two

Losing the Lease ends the process at once (`targets.kubernetes.elections`). The port is the same all the time: what answers on it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from aiculturekit import daemon, state, threads
from aiculturekit.api.guards import LOOPBACK, for_clusters, guard
from aiculturekit.compose import Parts, compose
from aiculturekit.daemon import Daemon
from aiculturekit.errors import AicError, HostTrouble, Unreachable
from aiculturekit.language import detect, say, use
from aiculturekit.settings import Seat, Settings
from aiculturekit.targets.kubernetes import clients, elections
from aiculturekit.targets.kubernetes.locks import Lock

log = logging.getLogger(__name__)
_AGAIN = 1.0
"""Seconds between attempts to reach a state database that does not answer."""
_LOOKED = 3.0
"""Seconds between looks for operations that nobody performs."""


class Front:
    """What answers on the port: `inner`, which may be another one from one request to the next."""

    def __init__(self) -> None:
        self.inner: Any = waiting()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.inner(scope, receive, send)


class _Server(uvicorn.Server):
    """Signals are `run`'s: uvicorn's own way with them ends the process before anything is let go of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def waiting() -> Starlette:
    """The application of one that waits."""

    async def alive(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    async def elsewhere(_: Request) -> JSONResponse:
        error = Unreachable(say("another daemon leads"), hint=say("ask again in a moment"))
        return JSONResponse({"error": error.as_dict()}, status_code=503, headers={"retry-after": "1"})

    anything = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]
    routes = [Route("/healthz", alive), Route("/readyz", alive), Route("/{path:path}", elsewhere, methods=anything)]
    return Starlette(routes=routes)


def main() -> int:
    """Run the daemon. Exit code 0 when it was told to end, 1 with the reason on standard error."""
    use(detect(os.environ))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would say each renewal of the Lease, for ever
    home = Path(os.environ["AIC_HOME"])
    try:
        with daemon.owned(home):
            daemon.uvloop_run(run(Settings.from_environ(home, os.environ)))
    except AicError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def run(given: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises HostTrouble, Refused, Mistake."""
    if given.seat is None:
        raise HostTrouble(say("AIC_LEASE does not say where this daemon sits"))
    front = Front()
    server = _Server(daemon.config(front))
    with socket.create_server(("", given.api_port), backlog=256) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="front")
        leading = asyncio.create_task(_lead(given, given.seat, front), name="leading")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, leading.cancel)
        await asyncio.wait((leading, serving), return_when=asyncio.FIRST_COMPLETED)
        front.inner, server.should_exit = waiting(), True
        leading.cancel()
        ended, _ = await asyncio.gather(leading, serving, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


async def _lead(given: Settings, seat: Seat, front: Front) -> None:
    """Wait, lead, and let go when cancelled."""
    client = await clients.opened(context="", named="", asked="")
    try:
        labels = {"app": seat.lease}
        async with elections.led(
            client, name=seat.lease, namespace=seat.namespace, pod=seat.pod, labels=labels
        ) as lock:
            await _reached(given.state_url)
            await _act(given, seat, front, lock)
    finally:
        await client.close()


async def _reached(url: str) -> None:
    """The state answers: a database that is being started is waited for, however long."""
    while True:
        try:
            database = await threads.run(state.open, url)
        except Unreachable as error:
            log.warning("%s", error.message)
            await asyncio.sleep(_AGAIN)
        else:
            await database.close()
            return


async def _act(given: Settings, seat: Seat, front: Front, lock: Lock) -> None:
    """Be the platform until cancelled."""
    password = await threads.run(_password, seat.password)
    own = Daemon(given)
    own.api = f"http://{seat.lease}.{seat.namespace}"
    parts = await compose(given, platform=own.platform, require=lambda: elections.require(lock))
    try:
        own.sessions = await daemon.sessions(parts, password=password)
        authorize = guard(password, own.sessions, hosts=(*LOOPBACK, *seat.names))
        front.inner = own.front(parts, own.sessions, authorize=for_clusters(authorize), password=password)
        gc.freeze()
        gc.enable()
        log.info("%s leads", seat.pod)
        await _tend(parts)
    finally:
        front.inner = waiting()
        await parts.close()


async def _tend(parts: Parts) -> None:
    """For ever. An operation that lost its state database ended here, and still runs for the journal: it is carried on when that answers
    again. It is seen twice before, so that none is met in the moment in which it ends."""
    seen: set[int] = set()
    while True:
        await asyncio.sleep(_LOOKED)
        try:
            left = await parts.places.placements.left()
            await parts.places.placements.resume(left & seen)
            seen = left - seen
        except AicError as error:
            log.warning("%s", error.message)


def _password(file: Path) -> str:
    try:
        found = file.read_text("utf-8").strip()
    except OSError as error:
        raise HostTrouble(say("the password can't be read: {error}", error=str(error))) from error
    if len(found) < 16:
        raise HostTrouble(say("the password in {file} is shorter than 16 letters", file=file))
    return found
