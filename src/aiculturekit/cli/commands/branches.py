"""db branch: a copy of a resource for a test, gone when the test is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Annotated
from urllib.parse import quote

import typer

from aiculturekit.cli import choices, daemons
from aiculturekit.cli.options import AppOption
from aiculturekit.language import say

_ENDS = (signal.SIGINT, signal.SIGTERM)


def branch(
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help=say("The resource."))],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help=say("What to run on the copy; left out: until Ctrl-C.")),
    ] = None,
    app: AppOption = None,
) -> int:
    client = daemons.ensure()
    chosen = choices.app(client, app)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end, too, takes the copy away
    # Held until it is known what there is to take away.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    made = client.post(f"apps/{chosen}/resources/{quote(resource, safe='')}/branches")
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        if command:
            variable = f"{resource.upper().replace('-', '_')}_URL"
            return subprocess.run(command, env={**os.environ, variable: made["url"]}, check=False).returncode
        print(made["url"], flush=True)
        print(say("a copy of {resource}; Ctrl-C ends it", resource=resource), file=sys.stderr)
        signal.pause()
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        client.delete(f"apps/{chosen}/branches/{made['id']}")
