"""Requests per second through ingress -> mTLS -> service, with a static nginx as the service, wrk on the same cores, and the peers in the
same interleaved rounds."""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import istio, peers
from benchmarks.loads import Throughput, wrk
from benchmarks.products import Product, application, product
from benchmarks.tables import Missing, Row, program
from tests.mesh.issuers import Issuer

PAIR = "Istio: gateway, sidecar"


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
        pair = _istio(stack, folder / "i")
        guarded = stack.enter_context(product())
        scripts = _guarded(guarded, folder / "guarded", collector=upstream)
        measured: dict[str, list[Throughput]] = {name: [] for name in (*ports, *scripts, *([PAIR] if pair else []))}
        for _ in range(rounds):
            for name, port in ports.items():
                measured[name].append(wrk(port, seconds=seconds))
            if pair:
                measured[PAIR].append(pair.wrk(seconds=seconds))
            for name, script in scripts.items():
                measured[name].append(wrk(guarded.ingress, seconds=seconds, script=script))
    tokens = {name: measured.pop(name) for name in scripts}
    yield from _rows(measured)
    yield from _guarded_rows(tokens, plain=statistics.median(one.rate for one in measured["ours"]))


def _istio(stack: contextlib.ExitStack, folder: Path) -> istio.Pair | None:
    """None, with a word about it, where there is no Istio."""
    try:
        return stack.enter_context(istio.pair(folder))
    except Missing as error:
        print(f"left out: {PAIR}: {error}", file=sys.stderr)
        return None


def _guarded(made: Product, folder: Path, *, collector: int) -> dict[str, Path]:
    """The same application behind tokens with claims, and with traces of one request in a hundred; what is measured -> wrk's script."""
    issuer = Issuer()
    made.set(AIC_OTLP=f"http://127.0.0.1:{collector}?percent=1")
    jwt = f"{{issuer: {issuer.name!r}, audience: shop, jwks: keys.json, claims: {{role: admin}}}}"
    nginx_application(folder, more=f", access: {{jwt: {jwt}}}")
    (folder / "keys.json").write_text(issuer.jwks)
    made.aic("up", "-d", str(folder))
    return {
        name: _script(
            folder / f"{count}.lua", [issuer.token(aud="shop", role="admin", jti=str(at)) for at in range(count)]
        )
        for name, count in (("one token", 1), ("4,000 tokens in turn", 4000))
    }


def _script(path: Path, tokens: list[str]) -> Path:
    """The requests are made before the first is sent: what is measured is the mesh, not a script that shares its cores."""
    listed = ",".join(f'"Bearer {token}"' for token in tokens)
    path.write_text(
        f"local tokens, requests, at = {{{listed}}}, {{}}, 0\n"
        "function init()\n  for n, token in ipairs(tokens) do\n"
        '    requests[n] = wrk.format("GET", "/", {Host = wrk.headers["Host"], authorization = token})\n  end\nend\n'
        "function request()\n  at = at % #requests + 1\n  return requests[at]\nend\n"
    )
    return path


def _guarded_rows(measured: dict[str, list[Throughput]], *, plain: float) -> Iterator[Row]:
    """More different tokens than are remembered: each signature is verified anew."""
    for name, runs in measured.items():
        what = f"ingress -> JWT ({name}) -> mTLS + authorization -> service, metrics, traces of 1%"
        rate, bar = statistics.median(one.rate for one in runs), ">= 10,000/s" if name == "one token" else ""
        yield Row(what, rate, "requests/s", "without tokens and traces", plain, bar)
        yield Row(f"{what}, p99", statistics.median(one.p99_ms for one in runs), "ms")
        yield Row(f"{what}, bad answers", float(sum(one.bad for one in runs)), "requests", bar="0")


def _rows(measured: dict[str, list[Throughput]]) -> Iterator[Row]:
    rates = {name: statistics.median(one.rate for one in runs) for name, runs in measured.items()}
    slow = {name: statistics.median(one.p99_ms for one in runs) for name, runs in measured.items()}
    what = "ingress -> mTLS + authorization -> service"
    for peer in list(rates)[1:]:
        bar = {
            "Traefik, one hop": ">= 1.0 of Traefik",
            "raw Envoy, one hop": ">= 10,000/s",
            PAIR: ">= 1.0 of Istio",
        }.get(peer, "")
        yield Row(what, rates["ours"], "requests/s", peer, rates[peer], bar)
    for peer in list(rates)[1:]:
        yield Row(f"{what}, p99", slow["ours"], "ms", peer, slow[peer])
    yield Row(f"{what}, bad answers", float(sum(one.bad for one in measured["ours"])), "requests", bar="0")


def nginx_application(folder: Path, *, more: str = "") -> Path:
    """nginx as a service: the configuration is written by its own command, which knows $PORT. `more` are further keys."""
    folder.mkdir(parents=True)
    template = peers.nginx_config(folder / "state", port="PORT_HERE")
    (folder / "nginx.conf.in").write_text(template)
    nginx = program("nginx", package="nginx-light")
    configure = "sed s/PORT_HERE/$PORT/ nginx.conf.in > nginx.$PORT.conf"
    command = f"{configure}; exec {nginx} -p {folder}/state -c {folder}/nginx.$PORT.conf -e stderr"
    return application(folder, f"app: gateway\nservices:\n  web: {{run: '{command}', public: /{more}}}\n")
