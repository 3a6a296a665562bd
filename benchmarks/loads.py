"""Load: wrk for throughput, and an open-loop client of our own that counts every failure. Loopback only, bounded in time and count."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import program

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Requests per second, the 99th percentile in milliseconds, and answers that were not 2xx or 3xx (or no answer)."""

    rate: float
    p99_ms: float
    bad: int


def wrk(
    port: int,
    *,
    seconds: int,
    connections: int = 32,
    host: str = "",
    script: Path | None = None,
    address: str = "127.0.0.1",
) -> Throughput:
    """`script` is one in Lua that makes the requests."""
    headers = ["-H", f"Host: {host}"] if host else []
    headers += ["-s", str(script)] if script else []
    command = [
        program("wrk", package="wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers, f"http://{address}:{port}/",
    ]  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", text))
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text).groups()  # type: ignore[union-attr]
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    not_ok = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    bad = sum(int(number) for number in errors.groups()) if errors else 0
    return Throughput(rate, float(p99) * _UNITS[unit], bad + (int(not_ok[1]) if not_ok else 0))


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    return found[1]


class Load:
    """Requests at a steady rate until told to end: an open loop, so that a stall shows. Over kept-open connections; with `is_fresh` over a
    new one for each."""

    def __init__(
        self, port: int, *, rate: float, path: str = "/", connections: int = 32, is_fresh: bool = False
    ) -> None:
        self.port, self.rate, self.path, self.connections, self.is_fresh = port, rate, path, connections, is_fresh
        self.results: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._end = threading.Event()

    @property
    def failed(self) -> int:
        return sum(count for result, count in self.results.items() if result != "ok")

    async def _worker(self, queue: asyncio.Queue[int | None]) -> None:
        streams = None
        while await queue.get() is not None:
            for attempt in (1, 2):
                is_fresh = streams is None
                try:
                    async with asyncio.timeout(10):
                        streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                        await self._request(*streams)
                    if self.is_fresh:
                        streams[1].close()
                        streams = None
                    break
                except (OSError, EOFError, TimeoutError, ValueError) as error:
                    if streams is not None:
                        streams[1].close()
                    streams = None
                    # A server may close an idle connection just as it is used again: HTTP clients repeat on a fresh one.
                    if is_fresh or attempt == 2 or isinstance(error, TimeoutError):
                        self.results[type(error).__name__] += 1
                        break
        if streams is not None:
            streams[1].close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split()[1])
        found = re.search(r"content-length: (\d+)", head)
        body = await reader.readexactly(int(found[1])) if found else b""
        self.results["ok" if status < 500 and status not in (403, 404) else f"status {status}"] += 1
        self.versions[body.decode("utf-8", "replace").strip()[:40]] += 1

    async def _run(self, longest: float) -> None:
        queue: asyncio.Queue[int | None] = asyncio.Queue()
        workers = [asyncio.create_task(self._worker(queue)) for _ in range(self.connections)]
        started, sent = time.perf_counter(), 0
        while not self._end.is_set() and time.perf_counter() - started < longest:
            due = int((time.perf_counter() - started) * self.rate)
            for _ in range(due - sent):
                queue.put_nowait(sent)
            sent = due
            await asyncio.sleep(0.002)
        for _ in workers:
            queue.put_nowait(None)
        await asyncio.gather(*workers)

    @contextlib.contextmanager
    def running(self, *, longest: float = 60.0) -> Iterator[Load]:
        thread = threading.Thread(target=lambda: asyncio.run(self._run(longest)))
        thread.start()
        try:
            time.sleep(0.5)
            yield self
            time.sleep(0.5)
        finally:
            self._end.set()
            thread.join()
