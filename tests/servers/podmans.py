"""A real Podman on a socket of its own, with its own storage: it keeps images, and runs nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAM = shutil.which("podman")
MISSING = "" if PROGRAM and os.geteuid() == 0 else "needs: apt-get install podman, and root"
_WITHIN = 60.0


class Served:
    """A running one, by its socket."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def load(self, archive: Path) -> str:
        """Takes in what `docker save` writes; answers what it says of it."""
        return self._asked("POST", "/images/load", archive.read_bytes())

    def ping(self) -> bool:
        with contextlib.suppress(OSError):
            return self._asked("GET", "/_ping") == "OK"
        return False

    def _asked(self, method: str, path: str, body: bytes | None = None) -> str:
        connection = http.client.HTTPConnection("localhost", timeout=_WITHIN)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_WITHIN)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.place))
            connection.request(method, path, body, {"content-type": "application/x-tar"} if body else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{method} {path}: {answer.status} {text[:500]}")
        return text


@contextlib.contextmanager
def running() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="aic-podman-") as top:
        folder = Path(top)
        (folder / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        (folder / "home" / ".config" / "containers").mkdir(parents=True)
        (folder / "policy.json").rename(folder / "home" / ".config" / "containers" / "policy.json")
        places = "".join(f'{name} = "{folder / name}"\n' for name in ("runroot", "graphroot"))
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{places}')
        served, log = Served(folder / "socket"), folder / "log"
        environment = {
            **os.environ,
            "HOME": str(folder / "home"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "TMPDIR": top,
        }
        command = [PROGRAM or "podman", "system", "service", "--time=0", f"unix://{served.place}"]
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, env=environment, stdout=said, stderr=said, cwd=top, start_new_session=True
            )
        try:
            deadline = time.monotonic() + _WITHIN
            while not served.ping():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Podman does not answer: {log.read_text()[-1000:]}")
                time.sleep(0.1)
            yield served
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
