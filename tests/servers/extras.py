"""What a cloud puts into a cluster, beside a real node's own components: CPU and memory by metrics-server, NetworkPolicies that hold by
kube-router, addresses for balancers by MetalLB. Each runs in the node's network as a process, and goes with the cluster."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers import machines, programs
from tests.servers.clusters import Cluster
from tests.servers.machines import wait

NAMES = ("metrics-server", "kube-router", "metallb")
POOL = "10.244.0.240-10.244.0.250"
"""Addresses that no pod has in a test, in the network of the node."""
_PORT, _METRICS, _STARTING = 4443, "v1beta1.metrics.k8s.io", 120.0


def obstacle() -> str | None:
    """Why they can't run here; None where they can, if need be after a build."""
    if shutil.which("ipset") is None:
        return "kube-router needs Debian's packages: apt-get install ipset"
    return machines.obstacle() or programs.obstacle(*NAMES)


def measure(one: Cluster) -> None:
    """metrics-server: returns when it has measured the node."""
    config = one.place.folder / "pki" / "metrics-server.kubeconfig"
    _copy_config(one, config)
    flags = {
        **dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), config),
        "bind-address": one.address,
        "secure-port": _PORT,
        "cert-dir": one.place.folder / "metrics-server",
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": one.place.folder / "pki" / "ca.crt",
        "kubelet-request-timeout": "5s",
        "metric-resolution": "10s",
    }
    process = one.place.start("metrics-server", programs.built("metrics-server")["metrics-server"], *_flags(flags))
    one.apply(*_metrics(one.address))
    path = "/apis/metrics.k8s.io/v1beta1/nodes"
    wait(
        lambda: bool(_listed(one, path)),
        what="metrics-server",
        seconds=_STARTING,
        gone=lambda: process.poll() is not None,
    )


def enforce(one: Cluster) -> None:
    """kube-router holds NetworkPolicies, and nothing else: returns when its rules are there."""
    config = one.place.folder / "pki" / "kube-router.kubeconfig"
    _copy_config(one, config)
    flags = {
        "kubeconfig": config,
        "hostname-override": machines.NAME,
        "run-router": "false",
        "run-service-proxy": "false",
        "run-firewall": "true",
        "service-cluster-ip-range": machines.SERVICES,
        "health-port": 0,
    }
    process = one.place.start("kube-router", programs.built("kube-router")["kube-router"], *_flags(flags))

    def is_there() -> bool:
        return "KUBE-ROUTER-FORWARD" in one.place.run("iptables", "-S", "FORWARD")

    wait(is_there, what="kube-router", seconds=_STARTING, gone=lambda: process.poll() is not None)


def balance(one: Cluster) -> None:
    """MetalLB's controller gives addresses of POOL to Services of the type LoadBalancer. Nobody announces them: a node's kube-proxy knows."""
    config = one.place.folder / "pki" / "metallb.kubeconfig"
    _copy_config(one, config)
    folder = _module("go.universe.tf/metallb") / "config" / "crd" / "bases"
    one.apply(*(yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))))
    one.kubectl("wait", "--for=condition=Established", "crd/ipaddresspools.metallb.io", "--timeout=60s", seconds=70)
    one.kubectl("create", "namespace", "metallb-system")
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "tests", "namespace": "metallb-system"},
    }
    one.apply({**pool, "spec": {"addresses": [POOL]}})
    flags = {
        "kubeconfig": config,
        "namespace": "metallb-system",
        "webhook-mode": "disabled",
        "disable-cert-rotation": "true",
        "port": 7472,
    }
    one.place.start("metallb", programs.built("metallb")["metallb"], *_flags(flags))


def _flags(values: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _copy_config(one: Cluster, to: Path) -> None:
    """The administrator's, with the API server's address within the node's network."""
    text = yaml.safe_load(one.kubeconfig.read_text())
    text["clusters"][0]["cluster"]["server"] = f"https://{one.address}:6443"
    to.write_text(yaml.safe_dump(text))
    to.chmod(0o600)


def _listed(one: Cluster, path: str) -> list[Any]:
    with contextlib.suppress(httpx.HTTPError):
        answer = one.api.get(path)
        return list(answer.json()["items"]) if answer.is_success else []
    return []


def _metrics(address: str) -> list[dict[str, Any]]:
    """A Service without pods whose only end is the process, and the API that is asked there."""
    metadata = {"name": "metrics-server", "namespace": "kube-system"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _PORT}]},
    }
    ends = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata | {"labels": {"kubernetes.io/service-name": "metrics-server"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": _PORT, "protocol": "TCP"}],
    }
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _METRICS},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": metadata["name"], "namespace": metadata["namespace"]},
        },
    }
    return [service, ends, api]


def _module(name: str) -> Path:
    version = next(version for home, version, _ in programs.OTHERS.values() if home == name)
    command = ["go", "list", "-m", "-f", "{{.Dir}}", f"{name}@v{version}"]
    done = subprocess.run(
        ["go", "mod", "download", f"{name}@v{version}"], capture_output=True, text=True, cwd="/", check=True
    )
    found = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert done.returncode == 0
    return Path(found.stdout.strip())
