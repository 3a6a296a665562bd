"""A server of a resource on a stage of its own: no daemon, no mesh, only the backend, its process and a port of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.engine import probes
from aiculturekit.engine.workloads import Probe
from aiculturekit.locator import Locator
from aiculturekit.resources import outputs, places, processes, programs, tools
from aiculturekit.resources.backends.mysql import engines
from aiculturekit.resources.kinds import BACKENDS
from aiculturekit.resources.servers import Contained, Credential, Ground, Launch
from tests.servers import documents

DEADLINE = 60.0


class Stage:
    """`home` is where its data lies; `start`, `kill` and `stop` as often as one likes, always on the same port."""

    def __init__(self, kind: str, home: Path, **body: Any) -> None:
        self.kind = kind
        self.server = BACKENDS.load(Locator(kind))()
        self.process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]
        self.log = home / "log"
        self.ground = asyncio.run(self._ground(home, {"type": kind, **body}))

    async def _ground(self, home: Path, body: Mapping[str, Any]) -> Ground:
        uid = places.server_uid()
        tool = self.server.tool(body)
        found = Path()
        if tool:
            found = await tools.ensure(
                tool,
                cache=places.cache(uid),
                is_reachable=lambda path: places.is_reachable(path, uid),
                progress=lambda _: None,
            )
        elif isinstance(self.server, Contained):
            found = documents.program().parent  # as if that were the image's root
        folder = places.create(home, "stage", "thing", uid=uid)
        sockets = places.sockets(home, "stage", "thing", uid=uid)
        return Ground("stage", "thing", body, folder, sockets, found, uid, cache=places.cache(uid))

    def start(self, *credentials: Credential) -> None:
        launch = self.server.prepare(self.ground)
        environment = {"PATH": os.environ["PATH"], "PORT": str(self.port), **launch.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", self._command(launch)],
                cwd=launch.directory or self.ground.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        asyncio.run(self._ready(Probe(**launch.probe), environment))
        if launch.arguments:
            processes.note(self.ground, pid=self.process.pid, port=self.port)
        self.settle(*credentials)

    def _command(self, launch: Launch) -> str:
        """What would run in a container runs without one here: the backend is on the stage, and not the engine."""
        if not launch.arguments:
            return launch.command
        program, *words = (word.replace("$(PORT)", "$PORT") for word in launch.arguments)
        prefix = programs.prefix(self.ground.uid)
        return f"exec {processes.quoted(*prefix, self.ground.programs / program.lstrip('/'), *words)}"

    async def _ready(self, probe: Probe, environment: Mapping[str, str]) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            found = await probes.ask(probe, port=self.port, directory=self.ground.folder, environment=environment)
            if found.is_well:
                return
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} is not ready: {found.message}\n{self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.05)

    def settle(self, *credentials: Credential) -> None:
        asyncio.run(self.server.settle(self.ground, credentials))

    def given(self, credential: Credential) -> dict[str, str]:
        """All outputs, as the workload gets them."""
        url = self.server.url(self.ground, credential, host="127.0.0.1", port=self.port)
        return outputs.of(self.kind, url, declared=self.ground.body.get("outputs"))

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DEADLINE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@contextlib.contextmanager
def stage(kind: str, *, below: str = "", **body: Any) -> Iterator[Stage]:
    """Its server is not yet started; what was is ended. `below` is a folder for its home."""
    top = Path(tempfile.mkdtemp(prefix="aic-stage-"))
    home = top / below
    home.mkdir(exist_ok=True)
    for folder in (top, home):
        folder.chmod(0o711)
    made = Stage(kind, home, **body)
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(made.ground.sockets, ignore_errors=True)
        shutil.rmtree(top, ignore_errors=True)


def credentials(*verbs: str) -> Sequence[Credential]:
    """One workload for each verb, named after it."""
    return [Credential(verb, verb, verb, f"password-of-{verb}-0123456789") for verb in verbs]  # type: ignore[arg-type]


def require_mysql() -> None:
    """The machine's own server is what is tested: without one there is nothing to test, which must not happen on CI."""
    if not engines.installed():
        reason = "needs: apt-get install mariadb-server-core mariadb-client"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
