"""A real Kubernetes API for tests: etcd and kube-apiserver, nothing else, on free loopback ports, always stopped.

Both are built from their Go modules once (about ten minutes on two busy cores) and kept outside the repository by version:
`python -m tests.servers.kubernetes`. What the API server accepts with a dry run is stored as it stands by any cluster of this version:
schemas, defaults, and the rules written in CEL are its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

VERSION, ETCD = "1.34.4", "3.6.16"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiculturekit" / "servers"
FOLDER = _CACHE / f"kubernetes-{VERSION}"
_TOKEN = "tests"
_PLURALS = {"NetworkPolicy": "networkpolicies", "Gateway": "gateways"}
_HOW = "python -m tests.servers.kubernetes builds it (needs go; ten minutes)"


@dataclasses.dataclass(frozen=True)
class Server:
    client: httpx.Client

    def define(self, *definitions: Mapping[str, Any]) -> None:
        """Add kinds, and wait until they are served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for definition in definitions:
            self._done(self.client.post(path, json=definition))
        names = [definition["metadata"]["name"] for definition in definitions]
        _wait(lambda: all(self._is_established(f"{path}/{name}") for name in names), what="the definitions")

    def _is_established(self, path: str) -> bool:
        conditions = self.client.get(path).json().get("status", {}).get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    def create_namespace(self, name: str) -> None:
        self._done(self.client.post("/api/v1/namespaces", json={"metadata": {"name": name}}))

    def refusal(self, document: Mapping[str, Any]) -> str:
        """Why the server would not take the document; empty where it would. Nothing is stored."""
        metadata, query = document["metadata"], "dryRun=All&fieldManager=aic&fieldValidation=Strict"
        path = f"{_path(document)}/namespaces/{metadata['namespace']}/{_plural(document['kind'])}/{metadata['name']}"
        headers = {"content-type": "application/apply-patch+yaml"}
        answer = self.client.patch(f"{path}?{query}", content=json.dumps(document), headers=headers)
        return "" if answer.is_success else answer.json().get("message", answer.text)

    @staticmethod
    def _done(answer: httpx.Response) -> None:
        assert answer.is_success, answer.text


def _path(document: Mapping[str, Any]) -> str:
    version = document["apiVersion"]
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _plural(kind: str) -> str:
    if kind in _PLURALS:
        return _PLURALS[kind]
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


def missing() -> str:
    """Why there is no server here; empty when there is one. With CI set it is built instead."""
    if not _is_built() and os.environ.get("CI") and shutil.which("go"):
        build()
    return "" if _is_built() else f"no kube-apiserver {VERSION} in {FOLDER}; {_HOW}"


def _is_built() -> bool:
    return all((FOLDER / name).exists() for name in ("kube-apiserver", "etcd"))


@contextlib.contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="aic-kubernetes-") as name:
        folder, ports = Path(name), _free_ports(3)
        processes = [_start(folder, "etcd", _etcd(folder, ports))]
        try:
            processes.append(_start(folder, "kube-apiserver", _api(folder, ports)))
            base = f"https://127.0.0.1:{ports[2]}"
            headers = {"authorization": f"Bearer {_TOKEN}"}
            with httpx.Client(base_url=base, headers=headers, verify=False, timeout=30, trust_env=False) as client:
                _wait(lambda: _is_ready(client, processes, folder), what="kube-apiserver")
                yield Server(client)
        finally:
            for process in reversed(processes):
                _stop(process)


def _etcd(folder: Path, ports: list[int]) -> list[str]:
    client, peer = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    return [
        "--name=tests",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=tests={peer}",
        "--unsafe-no-fsync",
    ]


def _api(folder: Path, ports: list[int]) -> list[str]:
    """Whoever has the token may do everything: what is tested is what it accepts, not who asks."""
    (folder / "tokens").write_text(f"{_TOKEN},tests,1,system:masters\n")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "sa.key").write_bytes(key.private_bytes(*pem))
    return [
        f"--etcd-servers=http://127.0.0.1:{ports[0]}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports[2]}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens'}",
        "--authorization-mode=AlwaysAllow",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.key'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]


def _start(folder: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        command = [str(FOLDER / name), *arguments]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_ready(client: httpx.Client, processes: list[subprocess.Popen[bytes]], folder: Path) -> bool:
    for process in processes:
        if process.poll() is not None:
            name = Path(str(process.args[0])).name  # type: ignore[index]
            raise RuntimeError(f"{name} ended:\n" + (folder / f"{name}.log").read_text()[-3000:])
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/readyz").is_success
    return False


def _wait(is_so: Any, *, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not become ready within {seconds:g} s")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def build() -> None:
    """Both binaries, if they are not there: each appears under its name only when it is whole."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aic-build-") as name:
        modules = {"kube-apiserver": _kubernetes_module, "etcd": _etcd_module}
        for binary, module in modules.items():
            if not (FOLDER / binary).exists():
                place = Path(name) / binary
                place.mkdir()
                _go_build(place, binary, *module(place))


def _go_build(place: Path, binary: str, package: str, flags: str) -> None:
    made = FOLDER / f".{binary}.{os.getpid()}"
    command = ["go", "build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}", "-o", str(made)]
    subprocess.run([*command, package], cwd=place, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    made.rename(FOLDER / binary)


def _kubernetes_module(place: Path) -> tuple[str, str]:
    """Kubernetes' own list of dependencies, in which its parts of the same version take the place of the folders it has them in."""
    parts = f"v0.{VERSION.partition('.')[2]}"
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}"], capture_output=True, text=True, check=True
    )
    text = Path(json.loads(answer.stdout)["GoMod"]).read_text()
    text = re.sub(r"^module .*", "module tests.local/kubernetes", text, flags=re.M)
    text = re.sub(r"^(\s*k8s\.io/[a-z-]+ )v0\.0\.0\b", rf"\g<1>{parts}", text, flags=re.M)
    text = re.sub(r"^(\s*(k8s\.io/[a-z-]+)) => \./staging/.*", rf"\1 => \2 {parts}", text, flags=re.M)
    (place / "go.mod").write_text(text)
    subprocess.run(["go", "mod", "edit", f"-require=k8s.io/kubernetes@v{VERSION}"], cwd=place, check=True)
    package, version = "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/component-base/version"
    major, minor, _ = VERSION.split(".")
    flags = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    return _tools(place, package), " ".join(f"-X {version}.{name}={value}" for name, value in flags.items())


def _etcd_module(place: Path) -> tuple[str, str]:
    package = "go.etcd.io/etcd/server/v3"
    (place / "go.mod").write_text(f"module tests.local/etcd\n\ngo 1.24\n\nrequire {package} v{ETCD}\n")
    return _tools(place, package), ""


def _tools(place: Path, package: str) -> str:
    (place / "tools.go").write_text(f'//go:build tools\n\npackage tools\n\nimport _ "{package}"\n')
    return package


if __name__ == "__main__":
    build()
