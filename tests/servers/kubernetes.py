"""A real Kubernetes API for tests: etcd and kube-apiserver, nothing else, on free loopback ports, always stopped.

`programs` builds both. What the API server accepts with a dry run is stored as it stands by any cluster of this version:
schemas, defaults, and the rules written in CEL are its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers import programs
from tests.servers.programs import Missing as Missing

_TOKEN = "tests"


@dataclasses.dataclass(frozen=True)
class Server:
    """`kubeconfig` is for programs that want to speak to it."""

    client: httpx.Client
    kubeconfig: Path

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
        headers, query = (
            {"content-type": "application/apply-patch+yaml"},
            "dryRun=All&fieldManager=aic&fieldValidation=Strict",
        )
        answer = self.client.patch(f"{_address(document)}?{query}", content=json.dumps(document), headers=headers)
        return "" if answer.is_success else answer.json().get("message", answer.text)

    def apply(self, document: Mapping[str, Any]) -> None:
        headers = {"content-type": "application/apply-patch+yaml"}
        query = "fieldManager=aic&fieldValidation=Strict&force=true"
        self._done(self.client.patch(f"{_address(document)}?{query}", content=json.dumps(document), headers=headers))

    def get(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """As it stands there now, with its status."""
        found: dict[str, Any] = self.client.get(_address(document)).json()
        return found

    @staticmethod
    def _done(answer: httpx.Response) -> None:
        assert answer.is_success, answer.text


def _address(document: Mapping[str, Any]) -> str:
    version, metadata = document["apiVersion"], document["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{space}/{_plural(document['kind'])}/{metadata['name']}"


def _plural(kind: str) -> str:
    lower = kind.lower()
    if lower.endswith("ay"):
        return f"{lower}s"
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}es" if lower.endswith("s") else f"{lower}s"


def binaries() -> Path:
    """The folder of kube-apiserver; builds it, and etcd, when they are not there. Raises Missing.

    Whoever comes while another process builds waits for it."""
    return programs.built("kube-apiserver", "etcd")["kube-apiserver"].parent


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server with nothing of its own but the namespaces that every Kubernetes has. Raises Missing."""
    binaries()
    with tempfile.TemporaryDirectory(prefix="aic-kubernetes-") as name:
        folder, ports = Path(name), free_ports(3)
        processes = [_start(folder, "etcd", _etcd(folder, ports))]
        try:
            processes.append(_start(folder, "kube-apiserver", _api(folder, ports)))
            base = f"https://127.0.0.1:{ports[2]}"
            headers = {"authorization": f"Bearer {_TOKEN}"}
            with httpx.Client(base_url=base, headers=headers, verify=False, timeout=30, trust_env=False) as client:
                _wait(lambda: _is_ready(client, processes, folder), what="kube-apiserver")
                yield Server(client, _kubeconfig(folder, base))
        finally:
            for process in reversed(processes):
                stop(process)


def _kubeconfig(folder: Path, base: str) -> Path:
    cluster = {"name": "tests", "cluster": {"server": base, "insecure-skip-tls-verify": True}}
    context = {"name": "tests", "context": {"cluster": "tests", "user": "tests"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "tests", "user": {"token": _TOKEN}}],
        "contexts": [context],
        "current-context": "tests",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return folder / "kubeconfig"


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
        command = [str(programs.path(name)), *arguments]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
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


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
