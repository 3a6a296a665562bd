"""Starts a cluster's components: here, or in the network, mounts and processes of a node of their own."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers import forwards, networks
from tests.servers.guards import Guard


@dataclasses.dataclass(frozen=True)
class Place:
    """`holder` is the process that holds the namespaces; None: this machine's own."""

    folder: Path
    guard: Guard
    holder: int | None = None

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """It goes with the guard; what it says is in its log."""
        return self._started(name, [*self.entering("-n", "-m", "-p"), *command])

    def run(self, *command: str | Path) -> str:
        """What it printed. Raises RuntimeError with all it said when it fails."""
        done = subprocess.run(
            [*self.entering("-n", "-m", "-p"), *command], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout

    def entering(self, *kinds: str) -> tuple[str, ...]:
        """What a command is begun with so that it runs in there."""
        return () if self.holder is None else ("nsenter", "-t", str(self.holder), *kinds, "--")

    def bring_out(self, host: str, port: int) -> int:
        """A port of this machine's loopback behind which is an address in there."""
        listener = _listener(0)
        self._forward(listener, host, port, self.entering("-n"))
        return int(listener.getsockname()[1])

    def bring_in(self, port: int) -> None:
        """A port of this machine's loopback is the same in there."""
        with Path(f"/proc/{self.holder}/ns/net").open("rb") as there, networks.Network(there.fileno()).entered():
            listener = _listener(port)
        self._forward(listener, "127.0.0.1", port, ())

    def _forward(self, listener: socket.socket, host: str, port: int, entering: Sequence[str]) -> None:
        descriptor = listener.fileno()
        command = [*entering, sys.executable, forwards.__file__, str(descriptor), host, str(port)]
        self._started(f"forward-{host}-{port}", command, descriptors=(descriptor,))

    def _started(
        self, name: str, command: Sequence[str | Path], *, descriptors: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                pass_fds=descriptors,
                start_new_session=True,
            )
        self.guard.end(process)
        return process

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener
