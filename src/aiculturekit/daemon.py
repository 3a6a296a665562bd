"""`aic server`: the one process that owns this machine's part of the platform.

Start: lock the home, compose the parts, bind, write daemon.json. From then on the API answers. End (SIGTERM, SIGINT or
POST /shutdown): let go of everything; services and Envoy go on serving unless they were asked to stop. Nothing that serves
depends on this process being alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import hashlib
import json
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from starlette.applications import Starlette

from aiculturekit import __version__, threads
from aiculturekit.api import deploys, environments, placements, resources, trusts
from aiculturekit.api.application import application
from aiculturekit.api.guards import guard, only_from_here
from aiculturekit.api.routes import router
from aiculturekit.compose import Parts, compose
from aiculturekit.console import pages
from aiculturekit.console.sessions import Sessions
from aiculturekit.control import times
from aiculturekit.control import trusts as shown
from aiculturekit.control.watchers import Watchers
from aiculturekit.endpoints import Before, Endpoints
from aiculturekit.engine import ports as engine_ports
from aiculturekit.engine import rooms
from aiculturekit.errors import AicError, HostTrouble
from aiculturekit.language import detect, say, use
from aiculturekit.locator import Locator
from aiculturekit.settings import Seat, Settings
from aiculturekit.state import settings as stored

log = logging.getLogger(__name__)
ANNOUNCEMENT = "daemon.json"


class Daemon:
    """Holds what only the process itself knows: its port, its end, its login links."""

    def __init__(self, given: Settings) -> None:
        self.given = given
        self.api = ""
        self.started_at = time.time()
        self.stop_workloads = False
        self.parts: Parts | None = None
        self.server: uvicorn.Server | None = None
        self.sessions: Sessions | None = None
        self.watchers: Watchers | None = None

    def platform(self) -> dict[str, Any]:
        """The daemon's part of the status view."""
        return {
            "daemon": {"pid": os.getpid(), "version": __version__, "started_at": times.iso(self.started_at)},
            "api": self.api,
            "console": self.api,
            "doors": {},
            "home": str(self.given.home),
            **({"seat": self._seat(self.given.seat)} if self.given.seat else {}),
        }

    def _seat(self, seat: Seat) -> dict[str, str]:
        return {"namespace": seat.namespace, "pod": seat.pod, "state": str(Locator.parse(self.given.state_url))}

    def login_url(self) -> str:
        code = self.sessions.new_login_code() if self.sessions else ""
        return f"{self.api}/login?code={code}"

    async def shut_down(self, *, stop_workloads: bool) -> None:
        self.stop_workloads = stop_workloads
        if self.server is not None:
            self.server.should_exit = True

    def watch(self, file: Path, environment: str | None, app: str) -> None:
        if self.watchers is not None:
            self.watchers.watch(file, environment=environment, app=app)

    async def run(self) -> None:
        self.parts = parts = await compose(self.given, platform=self.platform)
        try:
            await self._serve(parts)
            if self.stop_workloads:
                await parts.works.life.stop_everything()
                await parts.machine.mesh.stop()
                await threads.run(rooms.clear, self.given.home / "run")
                (self.given.home / ANNOUNCEMENT).unlink(missing_ok=True)
        finally:
            await parts.close()

    async def _serve(self, parts: Parts) -> None:
        preferred = 0 if self.given.is_isolated else self.given.api_port
        port = await parts.machine.ports.prefer("api", port=preferred, is_free=engine_ports.is_free)
        self.api = f"http://127.0.0.1:{port}"
        self.sessions = await sessions(parts)
        self.watchers = Watchers(applications=parts.works.applications, target=parts.machine.target)
        authorize = guard(_token(self.given.home), self.sessions)
        trust = (
            trusts.public(parts.machine.mesh.trust),
            trusts.router(parts.machine.mesh.trust, refresh=parts.machine.target.refresh, authorize=authorize),
        )
        front = self.front(parts, self.sessions, authorize=authorize, further=trust)
        self.server = uvicorn.Server(config(front))
        with _listening(port) as listener:
            _announce(self.given.home, self.api, self.started_at)
            gc.freeze()  # without a collection before: that takes 50 ms and finds a thousand objects
            gc.enable()
            await self.server.serve(sockets=[listener])
        await self.watchers.close()

    def front(
        self,
        parts: Parts,
        sessions: Sessions,
        *,
        authorize: Before,
        further: Sequence[Endpoints] = (),
        password: str = "",
    ) -> Starlette:
        """The API and the console. With a `password` the console asks for it, and Envoy is nobody's here."""
        mesh, works, holdings, sights, places = (
            parts.machine.mesh,
            parts.works,
            parts.holdings,
            parts.sights,
            parts.places,
        )
        routes = router(
            applications=works.applications,
            deliveries=works.deliveries,
            snapshots=holdings.snapshots,
            backups=holdings.backups,
            branches=holdings.branches,
            rotations=holdings.rotations,
            operations=works.operations,
            views=sights.views,
            feeds=sights.feeds,
            flows=sights.flows,
            host=self,
            authorize=authorize,
        )
        return application(
            routes,
            resources.router(holdings.resources, holdings.guests, authorize=authorize),
            placements.router(
                places.placements,
                places.arrivals,
                places.clusters,
                sights.views,
                authorize=authorize,
            ),
            deploys.router(places.figures, authorize=authorize),
            environments.router(places.environments, places.promotions, authorize=authorize),
            *further,
            pages.router(
                sights.views,
                sessions=sessions,
                refusals=sights.feeds.refusals,
                flows=sights.flows,
                delivery=works.deliveries.shown,
                resources=holdings.resources,
                overviews=places.overviews,
                figures=lambda seconds: places.figures.all(since=seconds),
                identities=list if password else lambda: shown.identities(mesh.trust),
                password=password,
            ),
            status=sights.views.status,
            edges=sights.flows.of_all,
            engines=holdings.resources.figures,
            proxy_metrics=_nothing if password else mesh.prometheus,
            page=pages.error_page,
            has_proxy=not password,
            watched=authorize if password else only_from_here,
        )


def config(front: Any) -> uvicorn.Config:
    """How a daemon serves it."""
    return uvicorn.Config(
        front,
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
    )


def main() -> int:
    """Run the daemon of $AIC_HOME until it is told to end. Exit code 0, or 1 with the reason on standard error."""
    use(detect(os.environ))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    home = Path(os.environ["AIC_HOME"])
    try:
        with owned(home):
            uvloop_run(Daemon(Settings.from_environ(home, os.environ)).run())
    except AicError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def uvloop_run(coroutine: Any) -> None:
    """On uvloop where there is one (it halves the cost of an idle stream)."""
    import uvloop  # heavy: a native module that only the daemon needs

    uvloop.run(coroutine)


@contextlib.contextmanager
def owned(home: Path) -> Iterator[None]:
    """One daemon a home: an advisory lock, which ends with the process however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / "daemon.lock").open("w")
    except OSError as error:
        raise HostTrouble(
            say("the platform's folder can't be written: {error}", error=str(error)),
            hint=say("set AIC_HOME to a folder of yours, or mend the permissions"),
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostTrouble(
                say("another daemon owns {home}", home=home),
                hint=say("`aic status` shows it; `aic server stop` ends it"),
            ) from None
        yield


def _token(home: Path) -> str:
    """The bearer token of this home: made once, readable by its owner only."""
    file = home / "token"
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(32))
    return file.read_text().strip()


async def sessions(parts: Parts, *, password: str = "") -> Sessions:
    """Browser sessions survive a restart of the daemon: their hashes are kept in the state database. They end with the password by which
    they began."""
    name = f"console.sessions.{hashlib.sha256(password.encode()).hexdigest()[:16]}" if password else "console.sessions"
    kept = await parts.machine.database.run(stored.get, name)
    loop = asyncio.get_running_loop()

    def save(text: str) -> None:
        parts.tasks.append(loop.create_task(parts.machine.database.run(stored.put, name, value=text)))

    return Sessions(kept=kept, save=save)


async def _nothing() -> str:
    return ""


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        yield listener


def _announce(home: Path, api: str, started_at: float) -> None:
    """daemon.json says where the daemon is. It stays behind where a daemon leaves things running."""
    record = {
        "pid": os.getpid(),
        "api": api,
        "version": __version__,
        "started_at": times.iso(started_at),
        "create_time": psutil.Process().create_time(),
    }
    file, draft = home / ANNOUNCEMENT, home / f"{ANNOUNCEMENT}.new"
    draft.write_text(json.dumps(record))
    draft.replace(file)
