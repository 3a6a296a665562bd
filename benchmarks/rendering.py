"""An application of a thousand services as objects for a cluster: planned and rendered, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.tables import Row

_SCRIPT = """\
import json, resource, sys, time
from pathlib import Path
from aiculturekit.control import manifests
started = time.perf_counter()
target = f"kubernetes:///big?registry=registry.example/big&mesh={sys.argv[2]}"
objects = manifests.rendered(Path(sys.argv[1]), environment=None, wish=manifests.Wish(target))
seconds = time.perf_counter() - started
written_from = time.perf_counter()
json.dumps([one.manifest for one in objects])
print(json.dumps([len(objects), seconds, time.perf_counter() - written_from, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def run(*, quick: bool = False) -> Iterator[Row]:
    count = 200 if quick else 1000
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "aic.yaml"
        file.write_text(_file(count))
        for mesh in ("none", "istio", "linkerd"):
            command = [sys.executable, "-c", _SCRIPT, str(file), mesh]
            objects, seconds, writing, memory = json.loads(
                subprocess.run(command, capture_output=True, check=True).stdout
            )
            what = f"{count} services, mesh {mesh}: planned and rendered, {objects} objects"
            yield Row(what, round(seconds, 2), "s", "the same written as JSON", round(writing, 2), "< 5")
            yield Row(f"mesh {mesh}: memory at its most", round(memory), "MB", bar="< 300")


def _file(count: int) -> str:
    """Each calls two others; every fiftieth has a database in common."""
    services = [
        f"  s{at}: {{run: ./serve, health: /healthz, needs: [s{(at + 1) % count}, s{(at + 7) % count}"
        f"{', resources/db' if at % 50 == 0 else ''}]{', public: /' if at == 0 else ''}}}"
        for at in range(count)
    ]
    return "\n".join(["app: big", "services:", *services, "resources:", "  db: {type: postgres}", ""])
