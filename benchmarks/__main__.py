"""The entry: run one benchmark, print its rows."""

import argparse
import sys

from benchmarks import deploy, gateway, kubernetes, memory, mesh, rendering, resources, start, tables

ALL = {
    "start": start.run,
    "memory": memory.run,
    "gateway": gateway.run,
    "deploy": deploy.run,
    "mesh": mesh.run,
    "resources": resources.run,
    "rendering": rendering.run,
    "kubernetes": kubernetes.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=ALL)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    given = parser.parse_args()
    try:
        tables.show(ALL[given.name](quick=given.quick), as_json=given.json)
    except tables.Missing as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 2
    return 0


sys.exit(main())
