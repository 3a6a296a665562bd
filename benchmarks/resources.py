"""Databases on this machine: how long an application with a PostgreSQL and a Valkey takes to start, what the way through the mesh
costs, how long copies take. The peer of the way is the server's own port, dialled directly, in turn."""

from __future__ import annotations

import dataclasses
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from benchmarks import pipes
from benchmarks.products import Product, application, product
from benchmarks.tables import Row

TEXT = f"""
app: bench
services:
  web: {{run: "{sys.executable} -m http.server --bind 127.0.0.1 $PORT", needs: [resources/store: admin, resources/cache]}}
resources:
  store: {{type: postgres}}
  cache: {{type: redis}}
"""
_LARGE, _MIDDLE = 3_300_000, 320_000
"""Rows of 290 bytes: about 1 GB and 100 MB."""
_ROUNDS, _SECONDS = 5, 5


def run(*, quick: bool = False) -> Iterator[Row]:
    rounds, seconds = (2, 2) if quick else (_ROUNDS, _SECONDS)
    folder = Path(tempfile.mkdtemp(prefix="aic-bench-"))
    try:
        with product() as made:
            made.set(AIC_ISOLATION="off")  # so that the server's own port can be dialled from here
            yield from _starts(made, application(folder, TEXT), rounds)
            yield from _way(made, folder, rounds=rounds, seconds=seconds)
            yield from _copies(made, rows=_MIDDLE if quick else _LARGE)
    finally:
        shutil.rmtree(folder)


def _starts(made: Product, folder: Path, rounds: int) -> Iterator[Row]:
    made.aic("up", "-d", str(folder))  # installs the servers, should they not be there
    made.aic("down", "bench", "--volumes", "--yes")
    made.aic("server", "stop")
    yield Row("first start, with initdb", made.timed("up", "-d", str(folder)), "s", bar="<= 4 s")
    again = []
    for _ in range(rounds):
        made.aic("server", "stop")
        again.append(made.timed("up", "-d", str(folder)))
    yield Row("start on data that is there", statistics.median(again), "s", bar="<= 3 s")
    for row in made.status()["workloads"]:
        if row["kind"] == "resource":
            yield Row(f"memory of {row['version']}", sum(map(_pss, row["pids"])) / 2**20, "MB")


def _pss(pid: int) -> int:
    """Of the process and its descendants, proportional."""
    leader = psutil.Process(pid)
    return sum(process.memory_full_info().pss for process in [leader, *leader.children(recursive=True)])


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to the database, for PostgreSQL's own programs."""

    programs: Path
    url: str

    def run(self, program: str, *words: str) -> str:
        parts = urlsplit(self.url)
        environment = {"PGPASSWORD": unquote(parts.password or ""), "PGUSER": unquote(parts.username or "")}
        place = ["-h", "127.0.0.1", "-p", str(parts.port), *words, parts.path[1:]]
        command = [self.programs / program, *place]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    def selects(self, seconds: int) -> float:
        """Transactions per second: one row by its key, eight clients, one connection each."""
        said = self.run("pgbench", "-n", "-S", "-M", "prepared", "-c", "8", "-j", "2", "-T", str(seconds))
        found = re.search(r"tps = ([\d.]+)", said)
        if found is None:
            raise RuntimeError(said)
        return float(found[1])

    def waits(self, seconds: int, folder: Path) -> tuple[float, float]:
        """Milliseconds that one client with one connection waits for one row: median and p99."""
        log = folder / "waits"
        words = ["-n", "-S", "-M", "prepared", "-c", "1", "-T", str(seconds), "-l", "--log-prefix", str(log)]
        self.run("pgbench", *words)
        taken: list[int] = []
        for file in folder.glob(f"{log.name}.*"):
            taken += [int(line.split()[2]) for line in file.read_text().splitlines()]
            file.unlink()
        cuts = statistics.quantiles(taken, n=100)
        return cuts[49] / 1000, cuts[98] / 1000

    @property
    def port(self) -> int:
        found = urlsplit(self.url).port
        assert found is not None
        return found

    def by(self, port: int) -> Way:
        """The same database behind another port."""
        return dataclasses.replace(self, url=self.url.replace(f":{self.port}/", f":{port}/"))


def _way(made: Product, folder: Path, *, rounds: int, seconds: int) -> Iterator[Row]:
    """All ways in turn, round by round, since what else the machine does changes all the time."""
    mesh, direct = _ways(made)
    direct.run("pgbench", "-i", "-q", "-s", "10")
    port = direct.port
    with pipes.envoy(folder, upstream=port) as bare, pipes.haproxy(folder, upstream=port) as spliced:
        others = {"one hop of bare Envoy": bare, "one hop of HAProxy, spliced": spliced}
        peers = {name: direct.by(at) for name, at in others.items() if at is not None}
        ways = {"the mesh": mesh, "the server's own port": direct} | peers
        found = [{name: way.selects(seconds) for name, way in ways.items()} for _ in range(rounds)]
        waits = [{name: way.waits(seconds, folder) for name, way in ways.items()} for _ in range(rounds)]
    rates = {name: statistics.median(one[name] for one in found) for name in ways}
    beside = ("the server's own port", rates["the server's own port"])
    for name in ("the mesh", *peers):
        bar = ">= 0.80 of it" if name == "the mesh" else ""
        yield Row(f"pgbench, select only, through {name}", rates[name], "1/s", *beside, bar)
    for at, quantile in enumerate(("median", "p99")):
        times = {name: statistics.median(one[name][at] for one in waits) for name in ways}
        for name in ("the mesh", *peers):
            yield Row(f"one connection, {quantile}, through {name}", times[name], "ms", beside[0], times[beside[0]])


def _ways(made: Product) -> tuple[Way, Way]:
    server = next(row["pids"][0] for row in made.status()["workloads"] if row["name"] == "store")
    command = psutil.Process(server).cmdline()
    own = command[command.index("-p") + 1]
    url = _environment(made, "web")["STORE_URL"]
    programs = Path(command[0]).parent
    mesh = Way(programs, url)
    return mesh, mesh.by(int(own))


def _environment(made: Product, name: str) -> Mapping[str, str]:
    pid = next(row["pids"][0] for row in made.status()["workloads"] if row["name"] == name)
    return psutil.Process(pid).environ()


def _copies(made: Product, *, rows: int) -> Iterator[Row]:
    _, direct = _ways(made)
    direct.run("psql", "-q", "-c", _table("middle", _MIDDLE))
    made.aic("db", "branch", "store", "--app", "bench", "--", "true")
    branches = [made.timed("db", "branch", "store", "--app", "bench", "--", "true") for _ in range(3)]
    yield Row("branch of some 250 MB, used and gone", statistics.median(branches), "s")
    if rows > _MIDDLE:
        direct.run("psql", "-q", "-c", _table("large", rows))
    size = int(direct.run("psql", "-A", "-t", "-c", "SELECT pg_database_size(current_database())")) / 2**20
    yield Row(f"snapshot of {size:,.0f} MB", made.timed("snapshot", "save", "one", "--app", "bench"), "s")
    yield Row("the way back", made.timed("snapshot", "restore", "one", "--app", "bench", "--yes"), "s", bar="<= 10 s")
    started = time.perf_counter()
    made.aic("backup", "now", "store", "--app", "bench")
    yield Row("backup, proven", time.perf_counter() - started, "s")
    yield Row("backup verify", made.timed("backup", "verify", "store", "--app", "bench"), "s")


def _table(name: str, rows: int) -> str:
    return f"CREATE TABLE {name} AS SELECT n, repeat(md5(n::text), 8) AS x FROM generate_series(1, {rows}) n"
