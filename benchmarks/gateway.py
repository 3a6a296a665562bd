"""Requests per second through ingress -> mTLS -> service, with a static nginx as the service, wrk on the same cores, and the peers in the
same interleaved rounds."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers
from benchmarks.loads import Throughput, wrk
from benchmarks.products import application, product
from benchmarks.tables import Row, program


def run(*, quick: bool = False) -> Iterator[Row]:
    rounds, seconds = (2, 3) if quick else (5, 6)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(product())
        made.aic("up", "-d", str(nginx_application(folder / "app")))
        upstream = stack.enter_context(peers.nginx(folder / "upstream"))
        ports = {
            "ours": made.ingress,
            "raw Envoy, one hop": stack.enter_context(peers.envoy(folder / "envoy", upstream=upstream))[0],
            "Traefik, one hop": stack.enter_context(peers.traefik(folder / "traefik", upstream=upstream)),
            "nginx, one hop": stack.enter_context(peers.nginx(folder / "nginx", upstream=upstream)),
            "nginx directly": upstream,
        }
        measured: dict[str, list[Throughput]] = {name: [] for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                measured[name].append(wrk(port, seconds=seconds))
    yield from _rows(measured)


def _rows(measured: dict[str, list[Throughput]]) -> Iterator[Row]:
    rates = {name: statistics.median(one.rate for one in runs) for name, runs in measured.items()}
    slow = {name: statistics.median(one.p99_ms for one in runs) for name, runs in measured.items()}
    what = "ingress -> mTLS + authorization -> service"
    for peer in list(rates)[1:]:
        bar = {"Traefik, one hop": ">= 1.0 of Traefik", "raw Envoy, one hop": ">= 10,000/s"}.get(peer, "")
        yield Row(what, rates["ours"], "requests/s", peer, rates[peer], bar)
    for peer in list(rates)[1:]:
        yield Row(f"{what}, p99", slow["ours"], "ms", peer, slow[peer])
    yield Row(f"{what}, bad answers", float(sum(one.bad for one in measured["ours"])), "requests", bar="0")


def nginx_application(folder: Path) -> Path:
    """nginx as a service: the configuration is written by its own command, which knows $PORT."""
    folder.mkdir(parents=True)
    template = peers.nginx_config(folder / "state", port="PORT_HERE")
    (folder / "nginx.conf.in").write_text(template)
    nginx = program("nginx", package="nginx-light")
    configure = "sed s/PORT_HERE/$PORT/ nginx.conf.in > nginx.$PORT.conf"
    command = f"{configure}; exec {nginx} -p {folder}/state -c {folder}/nginx.$PORT.conf -e stderr"
    return application(folder, f"app: gateway\nservices:\n  web: {{run: '{command}', public: /}}\n")
