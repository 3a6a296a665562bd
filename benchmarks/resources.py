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
            yield from _way(made, rounds=rounds, seconds=seconds)
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


def _way(made: Product, *, rounds: int, seconds: int) -> Iterator[Row]:
    mesh, direct = _ways(made)
    direct.run("pgbench", "-i", "-q", "-s", "10")
    pairs = [(mesh.selects(seconds), direct.selects(seconds)) for _ in range(rounds)]
    through, beside = (statistics.median(side) for side in zip(*pairs, strict=True))
    yield Row(
        "pgbench, select only, through the mesh", through, "1/s", "the server's own port", beside, ">= 0.80 of it"
    )


def _ways(made: Product) -> tuple[Way, Way]:
    server = next(row["pids"][0] for row in made.status()["workloads"] if row["name"] == "store")
    command = psutil.Process(server).cmdline()
    own = command[command.index("-p") + 1]
    url = _environment(made, "web")["STORE_URL"]
    programs = Path(command[0]).parent
    return Way(programs, url), Way(programs, url.replace(f":{urlsplit(url).port}/", f":{own}/"))


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
