"""Failed requests while things change, under a steady load: a rolling deployment, a canary shift, a rollback, the daemon killed and
restarted, one replica of two killed. And which processes an edit restarts."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.loads import Load
from benchmarks.products import Product, application, product
from benchmarks.tables import Row

SERVER = """\
import asyncio, os, signal
ANSWER = (os.environ.get("NAME", "?") + "\\n").encode()
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(ANSWER)
class Server(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        for _ in range(data.count(b"\\r\\n\\r\\n")): self.transport.write(HEAD + ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", int(os.environ["PORT"]))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()
asyncio.run(main())
"""
FILE = """\
app: rolling
services:
  web:
    run: python server.py
    public: /
    scale: 2
    env: {{EDITED: "{edit}"}}
    versions:
      v1: {{weight: 90%, env: {{NAME: v1}}}}
      v2: {{weight: 10%, env: {{NAME: v2}}}}
  other: {{run: python server.py}}
"""


def run(*, quick: bool = False) -> Iterator[Row]:
    rate = 1000.0
    with product() as made, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server.py").write_text(SERVER)
        made.aic("up", "-d", str(application(folder, FILE.format(edit=0))))
        port = made.ingress
        before = _pids(made)
        yield _row("rolling deployment", port, rate, lambda: _edit(made, folder))
        after = _pids(made)
        kept = before["other"] == after["other"] and not set(before["web"]) & set(after["web"])
        yield Row("an edit restarts only what it touches", float(kept), "1 = yes", bar="1")
        yield _row("canary shift to 50%", port, rate, lambda: made.aic("traffic", "web", "v2=50%", "--app", "rolling"))
        yield _row("rollback", port, rate, lambda: made.aic("rollback", "rolling"))
        yield _row("kill -9 of the daemon, and its restart", port, rate, lambda: _kill_daemon(made))
        yield _row(
            "kill -9 of one replica of two", port, rate, lambda: _kill_replica(made), bar="only those in flight (<= 32)"
        )


def _row(what: str, port: int, rate: float, act: Callable[[], object], bar: str = "0") -> Row:
    load = Load(port, rate=rate)
    with load.running():
        act()
        time.sleep(1.5)
    total = sum(load.results.values())
    return Row(f"failed during {what} ({total:,} requests)", float(load.failed), "requests", bar=bar)


def _edit(made: Product, folder: Path) -> None:
    application(folder, FILE.format(edit=time.time()))
    made.aic("up", "-d", str(folder))


def _pids(made: Product) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in made.status()["workloads"]:
        found.setdefault(row["name"], []).extend(row["pids"])
    return {name: sorted(pids) for name, pids in found.items()}


def _kill_daemon(made: Product) -> None:
    before = _pids(made)
    os.kill(made.status()["daemon"]["pid"], signal.SIGKILL)
    time.sleep(0.5)
    made.aic("server", "start")
    if _pids(made) != before:
        raise RuntimeError(f"the new daemon did not take over: {before} became {_pids(made)}")


def _kill_replica(made: Product) -> None:
    os.kill(_pids(made)["web"][0], signal.SIGKILL)
    time.sleep(1)
