"""A real registry of images for tests: Debian's docker-registry on a free loopback port, empty, always stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml

from tests.servers import guards
from tests.servers.kubernetes import free_ports
from tests.servers.launches import Place
from tests.servers.machines import wait

_PROGRAMS = {"docker-registry": "docker-registry", "skopeo": "skopeo"}


def obstacle() -> str | None:
    """Why there can be none here; None where there can."""
    if missing := sorted(package for program, package in _PROGRAMS.items() if shutil.which(program) is None):
        return f"a registry needs Debian's packages: apt-get install {' '.join(missing)}"
    return None


@dataclasses.dataclass(frozen=True)
class Registry:
    """Without TLS, which containerd, skopeo and Docker accept from a loopback address; to be offered to a cluster by its port."""

    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def push(self, archive: Path, name: str) -> str:
        """The image in the archive under NAME:TAG; the reference to it by its digest."""
        target = f"{self.address}/{name}"
        skopeo("copy", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{target}")
        digest = skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{target}").strip()
        return f"{target.rpartition(':')[0]}@{digest}"

    def tags(self, name: str) -> list[str]:
        answer = httpx.get(f"http://{self.address}/v2/{name}/tags/list", timeout=10, trust_env=False)
        return list(answer.json().get("tags") or ())


@contextlib.contextmanager
def running() -> Iterator[Registry]:
    with guards.guard() as guard:
        folder = guard.folder("aic-registry-")
        (folder / "logs").mkdir()
        (port,) = free_ports(1)
        (folder / "registry.yaml").write_text(yaml.safe_dump(_configuration(folder, port)))
        place = Place(folder, guard)
        process = place.start("registry", "docker-registry", "serve", folder / "registry.yaml")
        try:
            wait(lambda: _listens(port), what="the registry", seconds=30, gone=lambda: process.poll() is not None)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {place.log('registry').read_text()[-2000:]}") from error
        yield Registry(port)


def skopeo(*words: str) -> str:
    """What it printed. Raises RuntimeError."""
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"skopeo {' '.join(words)}: {done.stderr}")
    return done.stdout


def _configuration(folder: Path, port: int) -> dict[str, object]:
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}}
    return {"version": 0.1, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}, "log": {"level": "warn"}}


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
