"""A real node of a cluster for tests: kubelet, containerd, runc, a bridge and kube-proxy, in a network, mounts and processes of their own.

Nothing on this machine changes, and no packet leaves it: the node's network has no default route. All of it dies with one process.
Needs root, and Debian's packages (PACKAGES).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import yaml

from tests.servers import archives, networks, programs
from tests.servers.archives import Image
from tests.servers.guards import Guard
from tests.servers.launches import Place

NAME, ADDRESS, PODS, SERVICES, DNS = "node1", "10.244.0.1", "10.244.0.0/24", "10.96.0.0/16", "10.96.0.10"
DOMAIN = "cluster.local"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""What must be there, and the package of Debian that has it."""
IMAGES = {"pause": "tests.local/pause:1", "coredns": "tests.local/coredns:1", "echo": "tests.local/echo:1"}
_PROGRAMS = ("kubelet", "kube-proxy", *IMAGES)
_BRIDGE, _STARTING = "kt0", 60.0
_GROUPS = Path("/sys/fs/cgroup")
_SYSCTLS = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
"""What a kubelet insists on for the whole machine. It is shown files that say so instead."""
_WRITTEN = (
    "/run/netns",
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
"""Where containerd, the plugins and the kubelet write, whatever they are told."""


def obstacle() -> str | None:
    """Why there can be no real node here; None where there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a real node needs root on Linux"
    if missing := sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None}):
        return f"a real node needs Debian's packages: apt-get install {' '.join(missing)}"
    return networks.obstacle() or programs.obstacle(*_PROGRAMS)


def held(folder: Path, guard: Guard) -> Place:
    """Namespaces that a process holds, with the node's network in them; nothing runs there yet. Builds what a node needs."""
    built = programs.built(*_PROGRAMS)
    for group in _groups(folder):
        guard.group(group)
        _make_group(group)
    outside = Place(folder, guard)
    alone = ("unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--")
    place = Place(folder, guard, _child(outside.start("holder", *alone, built["pause"]).pid, built["pause"]))
    assert place.holder is not None
    guard.end_other(place.holder)
    _mount(place)
    _network(place)
    return place


def start_containerd(place: Place) -> None:
    """With the images that every node has."""
    folder = place.folder
    (folder / "containerd.toml").write_text(_containerd(folder))
    process = place.start("containerd", "containerd", "-c", folder / "containerd.toml")
    wait(lambda: _answers(place), what="containerd", seconds=_STARTING, gone=lambda: process.poll() is not None)
    for name in IMAGES:
        load(place, archive(name))


def start_kubelet(place: Place) -> None:
    """And kube-proxy: once the API server answers."""
    folder, built = place.folder, programs.built(*_PROGRAMS)
    (folder / "cni" / "10-tests.conflist").write_text(json.dumps(_bridge(folder)))
    (folder / "resolv.conf").write_text(f"nameserver {DNS}\n")
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(folder)))
    (folder / "kube-proxy.yaml").write_text(yaml.safe_dump(_proxy(folder)))
    place.start("kube-proxy", built["kube-proxy"], f"--config={folder / 'kube-proxy.yaml'}")
    flags = {
        "config": folder / "kubelet.yaml",
        "kubeconfig": folder / "pki" / "kubelet.kubeconfig",
        "root-dir": folder / "kubelet",
        "cert-dir": folder / "kubelet" / "pki",
        "hostname-override": NAME,
        "node-ip": ADDRESS,
        "v": 2,
    }
    place.start("kubelet", built["kubelet"], *(f"--{name}={value}" for name, value in flags.items()))


def load(place: Place, archive: Path) -> None:
    """The images of the archive are on the node: a pod with `imagePullPolicy: IfNotPresent` takes them."""
    _ctr(place, "-n", "k8s.io", "images", "import", "--snapshotter", _snapshotter(place.folder), archive)


def archive(name: str) -> Path:
    """The image of one of our own programs."""
    program = programs.built(name)[name]
    file = program.with_suffix(".tar")
    if not file.exists():
        archives.write(Image(IMAGES[name], {name: program}, [f"/{name}"]), to=file)
    return file


def wait(condition, *, what: str, seconds: float, gone=lambda: False) -> None:
    """Raises RuntimeError when it does not come true in time, or what should make it true is gone."""
    deadline = time.monotonic() + seconds
    while not condition():
        if gone() or time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not ready within {seconds:g} s")
        time.sleep(0.05)


def _child(parent: int, program: Path) -> int:
    """Once it has become the program."""
    found: list[int] = []

    def is_there() -> bool:
        children = psutil.Process(parent).children()
        found[:] = [child.pid for child in children if child.cmdline() == [str(program)]]
        return bool(found)

    wait(is_there, what="the namespaces", seconds=_STARTING)
    return found[0]


def _mount(place: Place) -> None:
    for propagation in (
        "--make-rprivate",
        "--make-rshared",
    ):  # nothing gets out, and what a pod mounts is seen by the others
        place.run("mount", propagation, "/")
    for name, value in _SYSCTLS.items():
        shown = place.folder / f"sysctl-{Path(name).name}"
        shown.write_text(f"{value}\n")
        place.run("mount", "--bind", shown, f"/proc/sys/{name}")
    for path in _WRITTEN:
        Path(path).mkdir(parents=True, exist_ok=True)
        place.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    for name in ("cni", "kubelet", "pods", "plugins"):
        (place.folder / name).mkdir()


def _network(place: Place) -> None:
    """A bridge is the node's address and the pods' gateway."""
    place.run("ip", "link", "set", "lo", "up")
    place.run("ip", "link", "add", _BRIDGE, "type", "bridge")
    place.run("ip", "address", "add", f"{ADDRESS}/24", "dev", _BRIDGE)
    place.run("ip", "link", "set", _BRIDGE, "up")
    place.run("ip", "route", "add", SERVICES, "dev", _BRIDGE)  # looked up before kube-proxy's rules change the address
    settings = ["net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"]
    # Pods would believe a redirect for a service without endpoints, and wait instead of being refused.
    settings += [f"net.ipv4.conf.{name}.send_redirects=0" for name in ("all", _BRIDGE)]
    place.run("sysctl", "-qw", *settings)


def _groups(folder: Path) -> list[Path]:
    """The node's control group: one in each hierarchy where there are several (version 1)."""
    if (_GROUPS / "cgroup.controllers").exists():
        return [_GROUPS / _group(folder)]
    return [one / _group(folder) for one in sorted(_GROUPS.iterdir()) if one.is_dir() and not one.is_symlink()]


def _group(folder: Path) -> str:
    return folder.name


def _make_group(group: Path) -> None:
    group.mkdir()
    for name in ("cpuset.cpus", "cpuset.mems"):
        if group.parent.name == "cpuset":  # in version 1 it begins with none
            (group / name).write_text((group.parent / name).read_text())


def _answers(place: Place) -> bool:
    try:
        _ctr(place, "version")
    except RuntimeError:
        return False
    return True


def _ctr(place: Place, *words: str | Path) -> str:
    return place.run("ctr", "-a", place.folder / "containerd.sock", *words)


def _snapshotter(folder: Path) -> str:
    """Overlay does not lie upon overlay."""
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda one: len(one.mountpoint))
    kinds = [one.fstype for one in mounts if folder.is_relative_to(one.mountpoint)]
    return "native" if kinds and kinds[-1] == "overlay" else "overlayfs"


def _containerd(folder: Path) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unused = [f"snapshotter.v1.{name}" for name in ("btrfs", "zfs", "aufs", "devmapper")]
    disabled = json.dumps(
        [f"io.containerd.{name}" for name in (*unused, "internal.v1.opt", "tracing.processor.v1.otlp")]
    )
    return f"""\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = {disabled}
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
[{cri}]
  sandbox_image = "{IMAGES["pause"]}"
  restrict_oom_score_adj = true  # root without CAP_SYS_RESOURCE may not lower it
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
[{cri}.containerd]
  snapshotter = "{_snapshotter(folder)}"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{folder}/runc"
[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{folder}/cni"
"""


def _bridge(folder: Path) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS, "rangeStart": "10.244.0.10", "gateway": ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(folder / "cni-data"),
    }
    bridge = {"type": "bridge", "bridge": _BRIDGE, "isGateway": True, "hairpinMode": True, "ipMasq": False}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "tests", "plugins": [{**bridge, "ipam": addresses}, ports]}


def _kubelet(folder: Path) -> dict[str, object]:
    pki = folder / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failSwapOn": False,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{_group(folder)}",
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "resolvConf": str(folder / "resolv.conf"),
        "podLogsDir": str(folder / "pods"),
        "volumePluginDir": str(folder / "plugins"),
        "address": ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "clusterDNS": [DNS],
        "clusterDomain": DOMAIN,
        # The disk is shared with everything else on this machine: how full it is says nothing about the pods.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            **dict.fromkeys(("nodefs.available", "imagefs.available", "nodefs.inodesFree"), "1%"),
        },
        "nodeStatusUpdateFrequency": "4s",
        "serializeImagePulls": False,
    }


def _proxy(folder: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": NAME,
        "bindAddress": ADDRESS,
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(folder / "pki" / "kube-proxy.kubeconfig")},
        # Not the whole machine's table of connections.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "0s"},
    }
