"""The Envoy process: started or found again, watched, started anew when it ends, left alone when we go."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say
from aiculturekit.mesh import binaries, files, processes
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.envoy import names
from aiculturekit.mesh.envoy.documents import Json

READY = 15.0
"""Seconds that Envoy may take to answer; it takes 0.1."""
_LONGEST_PAUSE = 5.0
_LIVED = 10.0
_RAISE_FILES = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$0" "$@"'
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZ")


class Proxy:
    """One Envoy for `folder`. `pid` is None while none runs. `on_event` is told in words what happened to it."""

    def __init__(
        self, *, folder: Path, admin: Admin, node: str, spawn: processes.Spawn, on_event: Callable[[str], None]
    ) -> None:
        self.log = folder / "envoy.log"
        self.pid: int | None = None
        self._since, self._offset = 0.0, 0
        self._folder, self._admin, self._node = folder, admin, node
        self._spawn, self._on_event = spawn, on_event
        self._record = folder / "proxy.json"
        self._command: list[str] = []
        self._digest = ""
        self._watch: asyncio.Task[None] | None = None

    async def start(self, bootstrap: Json) -> None:
        """Take over the one that runs with this very bootstrap and binary, else start one. Raises HostTrouble."""
        self._command = _command(binaries.find(), self._folder)
        text = files.text(bootstrap)
        self._digest = hashlib.sha256("\0".join(self._command).encode() + text).hexdigest()
        files.put(self._folder / names.BOOTSTRAP, text)
        if not await self._adopt():
            await self._launch()
        self._watch = asyncio.create_task(self._keep(), name="envoy watch")

    def recorded(self) -> tuple[int, float, str] | None:
        """(pid, start, digest) of the Envoy that was started last, if that very one still runs."""
        try:
            record = json.loads(files.read(self._record) or b"{}")
            pid, since, digest = int(record["pid"]), float(record["started"]), str(record["digest"])
        except (ValueError, KeyError, TypeError):
            return None
        return (pid, since, digest) if processes.is_running(pid, since=since) else None

    async def close(self) -> None:
        """Stop watching; Envoy goes on."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None

    async def stop(self, *, grace: float = 5.0) -> None:
        await self.close()
        if found := self.recorded():
            await processes.stop(found[0], since=found[1], grace=grace)
        self._record.unlink(missing_ok=True)
        self.pid = None

    async def _adopt(self) -> bool:
        found = self.recorded()
        if found and found[2] == self._digest and await self._admin.is_ready():
            self.pid, self._since = found[0], found[1]
            return True
        if found:
            await processes.stop(found[0], since=found[1], grace=2.0)
        else:
            await self._admin.quit()  # one that was started a moment before its daemon died, and never recorded
        return False

    async def _launch(self) -> None:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {"AIC_NODE": self._node, "AIC_REPLICA": "envoy"}
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        try:
            pid = self._spawn(self._command, self.log, environment)
        except OSError as error:
            raise HostTrouble(say("Envoy cannot be started: {error}", error=error), hint=binaries.explain()) from error
        self.pid, self._since = pid, processes.started(pid) or 0.0
        record = {"pid": pid, "started": self._since, "digest": self._digest}
        files.put(self._record, json.dumps(record).encode())
        await self._ready(pid)

    async def _ready(self, pid: int) -> None:
        deadline = time.monotonic() + READY
        while not await self._admin.is_ready():
            if not processes.is_running(pid, since=self._since):
                await processes.ended(pid)
                raise HostTrouble(
                    say("Envoy ended as soon as it was started:\n{tail}", tail="\n".join(self.tail())),
                    hint=binaries.explain(self.tail()),
                )
            if time.monotonic() > deadline:
                raise HostTrouble(say("Envoy is not ready after {seconds} s; see {log}", seconds=READY, log=self.log))
            await asyncio.sleep(0.005)

    async def _keep(self) -> None:
        """Start it anew whenever it ends, for ever: at once, and slower and slower while it does not live long."""
        pause, is_told = 0.0, False
        while True:
            begun = time.monotonic()
            if self.pid is not None:
                await processes.ended(self.pid)
                self.pid = None
            pause = 0.0 if time.monotonic() - begun > _LIVED else min(_LONGEST_PAUSE, max(0.05, pause * 2))
            await asyncio.sleep(pause)
            try:
                await self._launch()
                self._on_event(say("Envoy ended and was started again"))
                is_told = False
            except (HostTrouble, OSError) as error:
                if not is_told:  # once, and not with every attempt
                    self._on_event(say("Envoy ended and cannot be started again: {error}", error=error))
                is_told = True

    def tail(self) -> list[str]:
        """The last lines that the present process wrote to its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(self._offset, self.log.stat().st_size - 4096))
            return log.read().decode("utf-8", "replace").splitlines()[-10:]
        return []


def _command(binary: Path, folder: Path) -> list[str]:
    """Two workers, also on two cores: measured there against one, 25 to 50% more requests a second for 1 MB."""
    workers = min(2, os.cpu_count() or 1)
    options = ["-c", str(folder / names.BOOTSTRAP), "--concurrency", str(workers), "--disable-hot-restart"]
    options += ["-l", "warning", "--drain-time-s", "5", "--file-flush-interval-msec", "250"]
    return ["/bin/sh", "-c", _RAISE_FILES, str(binary), *options]
