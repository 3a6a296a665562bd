"""Following an operation to its end: each step as it happens, the installer's lines while it installs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from aiculturekit.cli.clients import Answered, Client
from aiculturekit.cli.outputs import console
from aiculturekit.language import say

_SIGNS = {"started": "·", "done": "✓", "failed": "✗", "undone": "↩"}
_STYLES = {"done": "green", "failed": "bold red", "undone": "yellow"}


def follow(client: Client, operation: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """The operation as it ended. Raises the error that it ended with. `quiet` shows nothing."""
    ended: dict[str, Any] = dict(operation)
    for kind, payload in client.events(f"operations/{operation['id']}/events"):
        if kind == "done":
            ended = payload
        elif not quiet:
            _show(kind, payload)
    if ended.get("error"):
        raise Answered(ended["error"])
    return ended


def _show(kind: str, payload: Mapping[str, Any]) -> None:
    from rich.text import Text

    state = payload.get("state", "")
    if kind == "step" and state != "started":
        sign = Text(f"  {_SIGNS[state]} ", style=_STYLES.get(state, ""))
        what = Text(f"{payload['kind']} {payload['name']}")
        console().print(sign + what + Text(f"  {payload['why']}", style="bright_black"))
    elif kind == "progress" and payload["message"] and sys.stdout.isatty():
        console().print(Text(f"    {payload['workload']}: {payload['message']}", style="bright_black"), soft_wrap=True)
    elif kind == "progress" and payload["message"] not in (say("starting"), say("ready")):
        console().print(f"    {payload['workload']}: {payload['message']}")
