"""server run, start, stop: the daemon itself."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Annotated, Any

import typer

from aiculturekit.cli import daemons, outputs
from aiculturekit.cli.clients import Client, home
from aiculturekit.cli.commands import looks
from aiculturekit.cli.options import Json
from aiculturekit.errors import Failed
from aiculturekit.language import say


def group() -> Any:
    app = typer.Typer(
        help=say("The daemon that owns this machine's part: run, start, stop, status."), rich_markup_mode=None
    )
    app.callback(invoke_without_command=True)(run_by_default)
    app.command("run", help=say("Run the daemon in the foreground."))(run)
    app.command("start", help=say("Start the daemon in the background."))(start)
    app.command("stop", help=say("Take everything down and end the daemon."))(stop)
    app.command("status", help=say("Show the daemon."))(looks.status)
    return app


def run_by_default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        run()


def run() -> None:
    """This process becomes the daemon."""
    folder = daemons.prepared_home()
    os.execve(  # noqa: S606
        sys.executable, [sys.executable, "-OO", "-m", daemons.DAEMON], {**os.environ, "AIC_HOME": str(folder)}
    )


def start(as_json: Json = False) -> None:
    client = daemons.here()
    if as_json:
        outputs.print_json(client.get("status"))
    else:
        print(say("the daemon answers at {api}", api=client.api))


def stop(
    keep: Annotated[bool, typer.Option("--keep", help=say("Leave applications and Envoy serving."))] = False,
    as_json: Json = False,
) -> None:
    if daemons.has_left_things() and not keep:
        daemons.here()
    if not daemons.is_alive():
        _done(as_json, say("no daemon runs for {home}", home=home()))
        return
    client = Client.of_home(any_version=True)
    pid = client.get("status")["daemon"]["pid"]
    client.post("shutdown", {"stop_workloads": not keep})
    deadline = time.monotonic() + 60
    while _runs(pid):
        if time.monotonic() > deadline:
            raise Failed(
                say("the daemon (pid {pid}) did not end within 60 s", pid=pid),
                hint=say("its log: {file}", file=home() / "daemon.log"),
            )
        time.sleep(0.03)
    _done(as_json, say("the daemon has ended"))


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(
            pid, os.WNOHANG
        )  # it may be this process's own child: a dead one counts as running until it is waited for
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _done(as_json: bool, message: str) -> None:
    if as_json:
        outputs.print_json({"message": message})
    else:
        print(message)
