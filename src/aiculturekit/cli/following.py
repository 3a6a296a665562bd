"""Following an operation to its end: each step as it happens, the installer's lines while it installs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from aiculturekit.cli.clients import Answered, Client
from aiculturekit.cli.outputs import console
from aiculturekit.errors import AicError, Failed, NotFound
from aiculturekit.language import say

_RULES = ("access", "route", "traffic")
_PATIENCE, _PAUSE = 120.0, 1.0
"""Seconds without a word before nobody is waited for any more, and between questions."""
_SIGNS = {"started": "·", "done": "✓", "failed": "✗", "undone": "↩"}
_STYLES = {"done": "green", "failed": "bold red", "undone": "yellow"}


def follow(client: Client, operation: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """The operation as it ended. Raises the error that it ended with, or Failed when the daemon ended before. `quiet` shows nothing."""
    ended: dict[str, Any] | None = None
    rules = 0
    for kind, payload in _events(client, operation):
        if kind == "done":
            ended = payload
        elif kind == "step" and payload["kind"] in _RULES and payload["state"] == "done":
            rules += 1
        elif not quiet:
            show(kind, payload)
    if rules and not quiet:
        _line(
            "done", say("mesh rules"), say("{count} changes: who may call whom, and which version answers", count=rules)
        )
    if ended is None:
        raise Failed(
            say("the daemon ended before {verb} was done", verb=operation["verb"]),
            hint=say("the next one carries it on, or undoes it: run the command again"),
        )
    if ended.get("error"):
        raise Answered(ended["error"])
    return ended


def _events(client: Client, operation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """To its end, by whichever daemon: where a platform's daemon ends, another one carries it on."""
    path = f"operations/{operation['id']}"
    if not client.is_far:
        yield from client.events(f"{path}/events")
        return
    heard = time.monotonic()
    while time.monotonic() < heard + _PATIENCE:
        with contextlib.suppress(AicError):
            for kind, payload in client.events(f"{path}/events"):
                yield kind, payload
                if kind == "done":
                    return
            heard = time.monotonic()  # it broke off just now
        time.sleep(_PAUSE)
        try:
            found = client.get(f"placements/{operation['app']}/{path}")
        except AicError as error:
            if error.code == NotFound.code:
                return
            continue
        if found["state"] != "running":
            yield "done", found
            return


def _line(state: str, what: str, why: str) -> None:
    from rich.text import Text

    sign = Text(f"  {_SIGNS[state]} ", style=_STYLES.get(state, ""))
    console().print(sign + Text(what) + Text(f"  {why}", style="bright_black"))


def show(kind: str, payload: Mapping[str, Any]) -> None:
    """One event of an operation, as a line."""
    state = payload.get("state", "")
    if kind == "step" and state != "started":
        _line(state, f"{payload['kind']} {payload['name']}", payload["why"])
    elif kind == "progress" and payload["message"] and sys.stdout.isatty():
        text = f"    {payload['workload']}: {payload['message']}"
        console().print(text, style="bright_black", markup=False, highlight=False, soft_wrap=True)
    elif kind == "progress" and payload["message"] not in (say("starting"), say("ready")):
        console().print(f"    {payload['workload']}: {payload['message']}")
