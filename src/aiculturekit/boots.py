"""How the daemon's process begins: with its bytecode kept, and without the garbage collector while modules are loaded, a tenth of its
start. It has one again as soon as it serves."""

from __future__ import annotations

import gc
import os
import sys

from aiculturekit import bytecodes


def main() -> int:
    """Run the daemon of $AIC_HOME, or one of a cluster's; its exit code."""
    gc.disable()
    bytecodes.keep()
    if os.environ.get("AIC_LEASE"):
        from aiculturekit import leaders  # heavy: everything

        return leaders.main()
    from aiculturekit import daemon  # heavy: everything

    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
