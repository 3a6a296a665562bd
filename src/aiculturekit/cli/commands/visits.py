"""exec, forward: where a workload lives, for who looks for a fault. Both are this process's own doing: the daemon has no part in them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit import namespaces
from aiculturekit.cli import choices, placements
from aiculturekit.cli.clients import Client
from aiculturekit.cli.options import AppOption
from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.language import say

HELP = {
    "exec": lambda: say("Run a command as a workload does: its network, its variables, its directory."),
    "forward": lambda: say("Reach a port that a workload listens on, such as a debugger's, from this machine."),
}
Workload = Annotated[
    str, typer.Argument(metavar="WORKLOAD", help=say("The workload."), autocompletion=choices.complete_workload)
]


def commands() -> list[Any]:
    return [exec_, forward]


def exec_(
    workload: Workload,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help=say("The command; a shell when left out."))
    ] = None,
    app: AppOption = None,
) -> None:
    """This process becomes the command, so its exit code and its signals are the command's own."""
    if app and placements.is_one(app):
        terminal = ["-i", "-t"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
        pod = placements.object_of(Client.of_home(), app, workload)
        placements.become(app, ["exec", *terminal, pod, "--", *(command or ["/bin/sh"])])
    pid = _process(workload, app)
    words = command or [os.environ.get("SHELL", "/bin/sh")]

    def become() -> None:
        environment = _environment(pid)
        os.chdir(f"/proc/{pid}/cwd")
        os.execvpe(words[0], words, environment)  # noqa: S606

    with _explained(words[0]):
        become() if namespaces.is_inside(pid, None) else namespaces.visited(pid, become)


def forward(
    workload: Workload,
    port: Annotated[int, typer.Argument(min=1, max=65535, help=say("The port on which it listens."))],
    local: Annotated[
        int | None, typer.Option("--local", min=0, max=65535, help=say("The port here; the same when left out."))
    ] = None,
    app: AppOption = None,
) -> None:
    if app and placements.is_one(app):
        pod = placements.object_of(Client.of_home(), app, workload)
        placements.become(app, ["port-forward", pod, f"{port if local is None else local or ''}:{port}"])
    from aiculturekit.cli import forwards  # heavy: asyncio

    pid = _process(workload, app)
    with _explained(str(local or port)):
        door = None if namespaces.is_inside(pid, None) else os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        forwards.run(door, port, local=port if local is None else local, workload=workload)


def _process(workload: str, app: str | None) -> int:
    """The pid of one of its processes. Raises Failed where none runs."""
    client = Client.of_home()
    name = choices.app(client, app)
    rows = [row for row in client.get("status")["workloads"] if (row["app"], row["name"]) == (name, workload)]
    pids = [pid for row in rows for pid in row["pids"]]
    if not pids:
        raise Failed(
            say("no process of {workload} runs", workload=f"{name}/{workload}"),
            hint=say("`aic ps` shows what runs"),
        )
    return int(pids[0])


def _environment(pid: int) -> dict[str, str]:
    """What the process was started with, and how this terminal is called."""
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape")
    pairs = (item.partition("=") for item in raw.split("\0") if item)
    found = {name: value for name, _, value in pairs if name not in ("AIC_REPLICA", "AIC_NODE")}
    return {"TERM": os.environ.get("TERM", "dumb"), **found}


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostTrouble(f"{what}: {error.strerror or error}") from error
