"""Istio's own pair of proxies as a peer: istiod's configuration of our rendered rules, from the ingress gateway over mutual TLS to the
sidecar of the service. In a network of its own, where pilot-agent is seen by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers
from benchmarks.loads import Throughput, wrk
from benchmarks.tables import Missing, program
from tests.conformance import istiods
from tests.conformance.stages import APP, PORTS, application
from tests.servers import istio, networks
from tests.servers.networks import Network

_REPLICA = "v1-1"


@dataclasses.dataclass(frozen=True)
class Pair:
    network: Network

    def wrk(self, *, seconds: int) -> Throughput:
        with self.network.entered():
            return wrk(istiods.PORT, seconds=seconds, address=istiods.GATEWAY, host=f"{APP}.localhost")


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Two Envoys with one thread each and nginx behind them. Raises Missing."""
    if not istio.is_built():
        raise Missing("Istio is not built: ./test tests/conformance -m integration does so, with Go 1.26")
    if why := networks.obstacle():
        raise Missing(why)
    folder.mkdir(parents=True)
    with networks.made() as network, contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        with network.entered():
            stack.enter_context(_nginx(folder / "nginx"))
            staged = istiods.staged({}, folder=folder / "istio", names=(_REPLICA,))
            stage = runner.run(staged.__aenter__())
            stack.callback(lambda: runner.run(staged.__aexit__(None, None, None)))
            runner.run(stage.apply(application("")))
        yield Pair(network)


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[None]:
    """Where the sidecar looks for its replica."""
    folder.mkdir()
    port = PORTS[_REPLICA]
    (folder / "nginx.conf").write_text(peers.nginx_config(folder, port=str(port)))
    binary = program("nginx", package="nginx-light")
    command = [binary, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with peers.running(command, port=port, log=folder / "log"):
        yield
