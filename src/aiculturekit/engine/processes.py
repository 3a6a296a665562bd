"""What of a replica the kernel sees: a command under a shell, or a container under its runtime; its bounds, its signals, its end."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from aiculturekit import shells
from aiculturekit.engine import containers, host, limits
from aiculturekit.engine.containers import Bundle
from aiculturekit.engine.rooms import Room
from aiculturekit.engine.workloads import Workload
from aiculturekit.language import say

_BY_SIGNAL = 128
"""A container whose first process ended by signal N ends with 128 + N."""


class Process:
    """One at a time: `start` begins the next. Every method blocks, and none minds a process that is gone."""

    def __init__(self, replica: str, *, home: Path, node: str, zone: str, is_contained: bool) -> None:
        self._replica, self._node, self._zone = replica, node, zone
        self._group: limits.Group | None = None
        self.bundle = Bundle(home, replica) if is_contained else None

    @property
    def ran_out_of_memory(self) -> bool:
        return self._group is not None and self._group.ran_out_of_memory()

    def environment(self, workload: Workload, port: int | None) -> dict[str, str]:
        return {**workload.environment, "PORT": str(port), **self._marks}

    def start(self, workload: Workload, *, port: int | None, log: Path, room: Room | None) -> int:
        """Its pid. Raises OSError."""
        self._group = limits.Group.create(self._node, self._replica, limits=workload.limits)
        enter = self._group.shell if self._group else ""
        bounds = limits.prefix(workload.limits, has_cgroup=self._group is not None)
        if self.bundle is not None:
            self._write(self.bundle, workload, port, room)
        command = self.bundle.command if self.bundle else workload.command
        log.parent.mkdir(parents=True, exist_ok=True)
        start = partial(
            host.spawn,
            ["/bin/sh", "-c", f"{enter}{bounds}{shells.command(command)}"],
            log=log,
            environment=self._marks | containers.ENVIRONMENT if self.bundle else self.environment(workload, port),
            directory=self.bundle.folder if self.bundle else workload.directory,
        )
        return room.start(start, is_runtime=self.bundle is not None) if room else start()

    def ask_to_stop(self, pid: int, workload: Workload) -> None:
        """A container's runtime passes it on."""
        host.signal_group(pid, workload.container.stop if workload.container else signal.SIGTERM)

    def signal(self, pid: int, number: int) -> None:
        """To all its processes: those of a container have a session of their own, and what stops the runtime does not stop them."""
        contained = host.group(pid) if self.bundle is not None and pid > 0 else []
        host.signal_group(pid, number)
        host.signal_each(contained, number)

    def end(self, pid: int | None) -> None:
        """Nothing of it may be left, not what left its group either."""
        if self.bundle is not None:
            self.bundle.remove()
        host.kill_all(self._replica, pid=pid)

    def unbind(self) -> None:
        """Give its bounds back; it has ended."""
        if self._group is not None:
            self._group.remove()

    def code(self, code: int | None) -> int | None:
        """How it ended, in the words for a process: negative for a signal."""
        return _BY_SIGNAL - code if self.bundle is not None and code is not None and code > _BY_SIGNAL else code

    def _write(self, bundle: Bundle, workload: Workload, port: int | None, room: Room | None) -> None:
        """Without a network of its own a container is not started: it would stand in the machine's, at all its addresses."""
        if room is None or workload.container is None:
            raise OSError(say("an image runs in a network of its own only, and there is none here"))
        bundle.write(workload.container, environment=self.environment(workload, port), files=room.files)

    @property
    def _marks(self) -> dict[str, str]:
        """By which a later daemon knows it."""
        zone = {host.ZONE: self._zone} if self._zone else {}
        return {**zone, host.NODE: self._node, host.TOKEN: self._replica}
