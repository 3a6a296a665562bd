"""The peers of a tcp way: one hop through a bare Envoy, and through HAProxy in tcp mode, which may splice; nothing else on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import envoy_binary, free_port, running


@contextlib.contextmanager
def envoy(folder: Path, *, upstream: int) -> Iterator[int]:
    """The port of one hop: no TLS, nobody asked, as many workers as there are cores (as the mesh has)."""
    port = free_port()
    (folder / "pipe.json").write_text(json.dumps(_envoy(port, upstream)))
    command = [envoy_binary(), "-c", str(folder / "pipe.json"), "--concurrency", str(os.cpu_count() or 1)]
    with running([*command, "--disable-hot-restart", "-l", "warn"], port=port, log=folder / "pipe.log"):
        yield port


@contextlib.contextmanager
def haproxy(folder: Path, *, upstream: int) -> Iterator[int | None]:
    """The port of HAProxy with splice; None where it is not installed."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        yield None
        return
    port = free_port()
    (folder / "haproxy.cfg").write_text(
        f"global\n nbthread {os.cpu_count() or 1}\ndefaults\n mode tcp\n option splice-auto\n timeout connect 2s\n"
        f" timeout client 1h\n timeout server 1h\nlisten all\n bind 127.0.0.1:{port}\n server up 127.0.0.1:{upstream}\n"
    )
    with running([found, "-db", "-f", str(folder / "haproxy.cfg")], port=port, log=folder / "haproxy.log"):
        yield port


def _envoy(port: int, upstream: int) -> dict[str, object]:
    def address(number: int) -> dict[str, object]:
        return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": number}}}

    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    pipe = {"name": "pipe", "typed_config": {"@type": kind, "stat_prefix": "pipe", "cluster": "up"}}
    listener = {**address(port), "filter_chains": [{"filters": [pipe]}]}
    places = [{"lb_endpoints": [{"endpoint": address(upstream)}]}]
    assignment = {"cluster_name": "up", "endpoints": places}
    cluster = {"name": "up", "type": "STATIC", "connect_timeout": "2s", "load_assignment": assignment}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
