"""Orders at a steady rate, for watching the console: `python load.py --url http://127.0.0.1:8080 --rate 20 --seconds 30`.

Bounded in time and count; only loopback addresses are accepted. Prints what was answered, how fast, and by which payment version.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from urllib.parse import urlsplit

ORDER = json.dumps({"user_id": 1, "items": [{"sku": "tea", "quantity": 1}]}).encode()


async def order(host: str, port: int, results: list[tuple[float, int, str]]) -> None:
    started = time.perf_counter()
    head = f"POST /api/orders HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(ORDER)}\r\n"
    status, version = 0, ""
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + ORDER)
            lines = (await reader.read()).partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            writer.close()
        status = int(lines[0].split()[1])
        version = next((line.split(":")[1].strip() for line in lines if line.lower().startswith("x-version")), "")
    except (OSError, TimeoutError, IndexError, ValueError):
        pass
    results.append((time.perf_counter() - started, status, version))


async def run(host: str, port: int, rate: float, seconds: float) -> list[tuple[float, int, str]]:
    """An open loop: orders start on time whether or not earlier ones were answered."""
    results: list[tuple[float, int, str]] = []
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            tasks.create_task(order(host, port, results))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--rate", type=float, default=20, help="orders per second, at most 500")
    parser.add_argument("--seconds", type=float, default=30, help="at most 600")
    given = parser.parse_args()
    place = urlsplit(given.url)
    if place.hostname not in ("127.0.0.1", "localhost", "::1"):
        parser.error("only this machine: http://127.0.0.1:PORT")
    results = asyncio.run(run(place.hostname, place.port or 80, min(given.rate, 500), min(given.seconds, 600)))
    times = sorted(taken for taken, status, _ in results if status == 201)
    print(
        f"{len(times)} paid, {len(results) - len(times)} failed; versions {dict(Counter(v for *_, v in results if v))}"
    )
    if times:
        print(
            "latency ms: "
            + ", ".join(f"p{p} {times[min(len(times) - 1, len(times) * p // 100)] * 1000:.1f}" for p in (50, 95, 99))
        )


main()
