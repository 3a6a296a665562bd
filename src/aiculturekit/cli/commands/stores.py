"""db shell, dump, load: working by hand with a resource's server, as its administrator.

The tool's own programs run here, through the server's socket: no password, no network, so that it works for a server in a network of
its own as well.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from aiculturekit import namespaces
from aiculturekit.cli import choices
from aiculturekit.cli.clients import Client
from aiculturekit.cli.commands import branches
from aiculturekit.cli.options import AppOption
from aiculturekit.errors import AicError, HostTrouble, Refused, UsageError
from aiculturekit.language import say

Name = Annotated[str, typer.Argument(metavar="NAME", help=say("The resource."))]
Database = Annotated[str, typer.Option("--database", help=say("One of its databases; the usual one when left out."))]


def group() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        help=say("Work by hand with a database or a cache, as its administrator."),
        rich_markup_mode=None,
    )
    app.command("shell", help=say("Open the shell that a PostgreSQL comes with: psql."))(shell)
    app.command("dump", help=say("Write all of it to standard output: aic db dump NAME > file."))(dump)
    app.command(
        "load", help=say("Load a dump from standard input: aic db load NAME < file. PostgreSQL: all or nothing.")
    )(load)
    app.command("url", help=say("Print its address, without a credential."))(url)
    app.command("proxy", help=say("Open a port here that leads to it, with a credential for a while."))(proxy)
    app.command("branch", help=say("Run a command on a copy of a resource, which is gone afterwards."))(branches.branch)
    return app


def shell(name: Name, app: AppOption = None, database: Database = "") -> int:
    return _run(_program("shell", name, app, database))


def dump(name: Name, app: AppOption = None, database: Database = "") -> int:
    program = _program("dump", name, app, database)
    if sys.stdout.isatty():
        raise UsageError(say("a dump is not for a terminal"), hint=f"aic db dump {name} > {name}.dump")
    return _run(program)


def load(name: Name, app: AppOption = None, database: Database = "") -> int:
    program = _program("load", name, app, database)
    if sys.stdin.isatty():
        raise UsageError(say("a dump is read from standard input"), hint=f"aic db load {name} < {name}.dump")
    code = _run(program)
    if code and not program["is_whole"]:
        told = say(
            "what stood before the line that failed was loaded; a dump begins by dropping its tables: mend it and load it again"
        )
        print(told, file=sys.stderr)
    return code


def url(name: Name, app: AppOption = None) -> None:
    client = Client.of_home()
    view = client.get(f"apps/{choices.app(client, app)}/resources/{quote(name, safe='')}")
    print(view["url"] or "–")
    if sys.stderr.isatty():
        hint = say("its port may be reached by workloads alone; `aic db proxy {name}` opens one here", name=name)
        print(hint, file=sys.stderr)


def proxy(
    name: Name,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help=say("The port here; a free one for 0."))] = 0,
    verb: Annotated[str, typer.Option("--verb", help=say("What may be done: read, write or admin."))] = "read",
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help=say("How long it lasts."))] = 60,
    app: AppOption = None,
) -> None:
    from aiculturekit.cli import forwards

    if verb not in ("read", "write", "admin"):
        raise UsageError(say("{verb} is none of read, write and admin", verb=repr(verb)))
    client, local = Client.of_home(), _free(port)
    path = f"apps/{choices.app(client, app)}/resources/{quote(name, safe='')}/guests"
    guest = client.post(path, {"verb": verb, "seconds": minutes * 60, "port": local})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print(guest["url"])
        told = say(
            "whoever has this may {verb} until {until}, or until you press Ctrl-C", verb=verb, until=guest["until"]
        )
        print(told, file=sys.stderr)
        pid = guest["pid"]
        door = None if namespaces.is_inside(pid, None) else os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        forwards.run(door, guest["server_port"], local=local, workload=name)
    finally:
        with contextlib.suppress(AicError):
            client.delete(f"{path}/{quote(guest['id'], safe='')}")


def _free(port: int) -> int:
    """The port, or any that is free. Raises HostTrouble for one that is taken."""
    try:
        with socket.create_server(("127.0.0.1", port)) as held:
            return int(held.getsockname()[1])
    except OSError as error:
        hint = say("name another with --port, or leave it out")
        raise HostTrouble(say("port {port} is taken: {error}", port=port, error=error.strerror), hint=hint) from None


def _program(verb: str, name: str, app: str | None, database: str) -> Mapping[str, Any]:
    """What to run. Raises Refused where the type has no such program."""
    client = Client.of_home()
    found = client.get(f"apps/{choices.app(client, app)}/resources/{quote(name, safe='')}/programs", database=database)
    if verb not in found:
        raise Refused(
            say("{name} has no {verb}", name=name, verb=verb), hint=say("it has {known}", known=", ".join(found) or "–")
        )
    program: Mapping[str, Any] = found[verb]
    return program


def _run(program: Mapping[str, Any]) -> int:
    """Its exit code; standard input and output are ours. Ctrl-C is the program's."""
    process = subprocess.Popen(
        program["command"], cwd=program["directory"], env={**os.environ, **program["environment"]}
    )
    while True:
        try:
            return 1 if process.wait() else 0
        except KeyboardInterrupt:
            continue
