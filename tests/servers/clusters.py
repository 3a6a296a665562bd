"""A whole Kubernetes for tests: API server, controllers, scheduler, and nodes that are either fake (KWOK; nothing runs, no root) or real.

    with clusters.cluster(nodes="real") as cluster:
        cluster.kubectl("apply", "-f", "-", given=text)

Several at once do not see each other. Everything ends with the block, and when the tests are killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml

from tests.servers import authorities, guards, machines, programs, stages
from tests.servers.guards import Guard
from tests.servers.kubernetes import free_ports
from tests.servers.launches import Place
from tests.servers.machines import wait

CONTEXT = authorities.CONTEXT
_CONTROL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_READY, _FAKE = 120.0, "127.0.0.1"
Nodes = Literal["fake", "real"]


def obstacle(nodes: Nodes) -> str | None:
    """Why there can be no such cluster here; None where there can, if need be after a build."""
    return machines.obstacle() if nodes == "real" else programs.obstacle(*_CONTROL, "kwok")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """`kubeconfig` is for programs on this machine; its only context is CONTEXT. `address` is the node's, in the node's network."""

    place: Place
    nodes: Nodes
    kubeconfig: Path
    api: httpx.Client
    address: str

    def kubectl(self, *words: str | Path, given: str = "", seconds: float = 60) -> str:
        """What it printed. Raises RuntimeError with what it said when it fails."""
        done = self.tried(*words, given=given, seconds=seconds)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def tried(self, *words: str | Path, given: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        command = [programs.path("kubectl"), "--kubeconfig", self.kubeconfig, *words]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds, check=False)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=yaml.safe_dump_all(documents))

    def get(self, kind: str, name: str, *, namespace: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
        return found

    def rolled_out(self, deployment: str, *, namespace: str = "default", seconds: float = 90) -> None:
        """Waits until all its replicas are the newest and ready. Raises RuntimeError."""
        words = ("-n", namespace, "rollout", "status", f"deployment/{deployment}", f"--timeout={seconds:g}s")
        self.kubectl(*words, seconds=seconds + 10)

    def load(self, *archives: Path) -> None:
        """Their images are on the (real) node, without a registry."""
        for one in archives:
            machines.load(self.place, one)

    def dial(self, host: str, port: int) -> str:
        """Where an address of the cluster (a pod's, a service's, the node's with a NodePort) is reached from this machine: HOST:PORT."""
        return f"127.0.0.1:{self.place.bring_out(host, port)}"

    def dial_service(self, name: str, *, namespace: str = "default", port: int | None = None) -> str:
        """Its first port, if none is named."""
        spec = self.get("service", name, namespace=namespace)["spec"]
        return self.dial(spec["clusterIP"], port or spec["ports"][0]["port"])

    def offer(self, port: int) -> None:
        """What listens on that port of this machine's loopback is on the node's too: a registry, for one."""
        self.place.bring_in(port)

    def add_fake_node(self, name: str) -> None:
        """For a cluster of fake nodes, which has one already. Returns when it is ready."""
        self.apply(_fake_node(name))
        self.kubectl("wait", "--for=condition=Ready", f"node/{name}", f"--timeout={_READY:g}s", seconds=_READY + 10)

    def story(self) -> str:
        """What a failed test wants to know: pods, events, and the end of each component's log."""
        asked = (("get", "pods", "-A", "-o", "wide"), ("get", "events", "-A", "--sort-by=.lastTimestamp"))
        said = [f"$ kubectl {' '.join(words)}\n{self.tried(*words).stdout[-6000:]}" for words in asked]
        return "\n".join([*said, _logs(self.place)])


@contextlib.contextmanager
def cluster(*, nodes: Nodes = "fake", images: Sequence[Path] = ()) -> Iterator[Cluster]:
    """Ready: its node is, and its DNS where the node is real, which has the archives `images` loaded. Raises Missing."""
    programs.built(*_CONTROL, *(("kwok",) if nodes == "fake" else ()))
    with guards.guard() as guard:
        folder = guard.folder("aic-k-")  # short: the paths of sockets are
        (folder / "logs").mkdir()
        place = machines.held(folder, guard) if nodes == "real" else Place(folder, guard)
        try:
            with _started(place, guard, nodes) as one:
                one.load(*images)
                yield one
        except _Unready as error:
            raise RuntimeError(f"{error}\n{_logs(place)}") from error


class _Unready(Exception):
    """It did not come up."""


@contextlib.contextmanager
def _started(place: Place, guard: Guard, nodes: Nodes) -> Iterator[Cluster]:
    ports = _Ports(*free_ports(6)) if nodes == "fake" else _Ports(2379, 2380, 6443, 10257, 10259, 10247)
    address = machines.ADDRESS if nodes == "real" else _FAKE
    outside = place.bring_out(address, ports.api) if nodes == "real" else ports.api
    server = f"https://127.0.0.1:{outside}"
    pki = place.folder / "pki"
    authorities.write(
        pki, server=f"https://{address}:{ports.api}", node=machines.NAME, addresses=(address, "10.96.0.1")
    )
    kubeconfig = authorities.write_kubeconfig(pki, "admin", server=server)
    place.start("etcd", programs.path("etcd"), *_etcd(place.folder, ports))
    api = place.start("kube-apiserver", programs.path("kube-apiserver"), *_api(pki, ports, address))
    with _client(pki, server) as client:
        one = Cluster(place, nodes, kubeconfig, client, address)
        try:
            if nodes == "real":
                machines.start_containerd(place)
            wait(lambda: _is_ready(client), what="kube-apiserver", seconds=_READY, gone=lambda: api.poll() is not None)
            _start_controllers(place, ports)
            (_start_real if nodes == "real" else _start_fake)(one, ports)
        except RuntimeError as error:
            raise _Unready(str(error)) from error
        yield one


@dataclasses.dataclass(frozen=True)
class _Ports:
    etcd: int
    peer: int
    api: int
    controllers: int
    scheduler: int
    kwok: int


def _client(pki: Path, server: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return httpx.Client(base_url=server, verify=context, timeout=30, trust_env=False)


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/readyz").is_success
    return False


def _start_real(one: Cluster, ports: _Ports) -> None:
    machines.start_kubelet(one.place)
    one.kubectl("apply", "-f", programs.SOURCES / "coredns.yaml")
    wait(lambda: one.api.get(f"/api/v1/nodes/{machines.NAME}").is_success, what="the node", seconds=_READY)
    one.rolled_out("coredns", namespace="kube-system", seconds=_READY)
    _wait_for_account(one)


def _start_fake(one: Cluster, ports: _Ports) -> None:
    folder = one.place.folder
    (folder / "stages.yaml").write_text(stages.documents())
    flags = {
        "kubeconfig": folder / "pki" / "kwok.kubeconfig",
        "config": folder / "stages.yaml",
        "manage-all-nodes": "true",
        "node-lease-duration-seconds": 40,  # else the controllers take the node for lost after fifty seconds
        "node-ip": _FAKE,
        "cidr": machines.PODS,
        "server-address": f"127.0.0.1:{ports.kwok}",
    }
    one.place.start("kwok", programs.path("kwok"), *_flags(flags))
    one.add_fake_node("fake-1")
    _wait_for_account(one)


def _wait_for_account(one: Cluster) -> None:
    """Without it no pod can be made."""
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    wait(lambda: one.api.get(path).is_success, what="the controllers", seconds=_READY)


def _fake_node(name: str) -> dict[str, Any]:
    has = {"cpu": "32", "memory": "256Gi", "pods": "1000"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"allocatable": has, "capacity": has},
    }


def _logs(place: Place) -> str:
    files = sorted((place.folder / "logs").glob("*.log"))
    return "\n".join(f"--- {file.stem}\n{file.read_text(errors='replace')[-1500:]}" for file in files)


def _flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _etcd(folder: Path, ports: _Ports) -> list[str]:
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.peer}"
    values = {
        "name": "tests",
        "data-dir": folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"tests={peer}",
    }
    return [*_flags(values), "--unsafe-no-fsync"]


def _api(pki: Path, ports: _Ports, address: str) -> list[str]:
    values = {
        "etcd-servers": f"http://127.0.0.1:{ports.etcd}",
        "bind-address": _FAKE if address == _FAKE else "0.0.0.0",
        "secure-port": ports.api,
        "advertise-address": address,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "service-cluster-ip-range": machines.SERVICES,
        "service-account-issuer": f"https://kubernetes.default.svc.{machines.DOMAIN}",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "client-ca-file": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy.crt",
        "proxy-client-key-file": pki / "front-proxy.key",
        # A service of a loopback address is refused.
        **({"endpoint-reconciler-type": "none"} if address == _FAKE else {}),
    }
    return _flags(values)


def _start_controllers(place: Place, ports: _Ports) -> None:
    pki = place.folder / "pki"
    values = {
        "kube-controller-manager": {
            "secure-port": ports.controllers,
            "use-service-account-credentials": "true",
            "service-account-private-key-file": pki / "sa.key",
            "root-ca-file": pki / "ca.crt",
            "cluster-signing-cert-file": pki / "ca.crt",
            "cluster-signing-key-file": pki / "ca.key",
            "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
            # By default some thirty controllers start one by one, for five seconds.
            "kube-api-qps": 300,
            "kube-api-burst": 600,
        },
        "kube-scheduler": {"secure-port": ports.scheduler},
    }
    for name, own in values.items():
        config = pki / f"{name}.kubeconfig"
        who = dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), config)
        place.start(name, programs.path(name), *_flags({**who, "bind-address": _FAKE, "leader-elect": "false", **own}))
