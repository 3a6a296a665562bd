"""up, down, ps, logs, open: an application's life."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, daemons, following, outputs, placements
from aiculturekit.cli.clients import Client
from aiculturekit.cli.options import AppArgument, Environment, Json, Reason, WorkloadArgument
from aiculturekit.errors import UsageError
from aiculturekit.language import say

HELP = {
    "up": lambda: say("Make the application file true on this machine."),
    "down": lambda: say("Take an application down. Its data and its releases stay."),
    "ps": lambda: say("Show what runs."),
    "logs": lambda: say("Show what workloads print."),
    "open": lambda: say("Open the console in a browser, logged in; of APP@ENV, the application itself."),
}


def commands() -> list[Any]:
    return [up, down, ps, logs, open_]


def up(
    path: Annotated[Path, typer.Argument(help=say("The application file, or its directory."))] = Path(),
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help=say("Return when everything is ready, and leave it running."))
    ] = False,
    environment: Environment = None,
    watch: Annotated[bool, typer.Option("--watch", help=say("Bring changes up as they are saved."))] = False,
    isolated: Annotated[
        bool, typer.Option("--isolated", help=say("In a home of its own, on ports of its own."))
    ] = False,
    origin: Annotated[
        str,
        typer.Option("--from", metavar="SNAPSHOT", help=say("Begin with the data of a snapshot: NAME, or APP/NAME.")),
    ] = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    file = choices.file(path)
    if isolated:
        _isolate(quiet=as_json)
    client = daemons.ensure()
    body = {"file": str(file), "environment": environment, "reason": reason, "watch": watch, "snapshot": origin}
    operation = following.follow(client, client.post("apps", body), quiet=as_json)
    app = operation["app"]
    if as_json:
        outputs.print_json(
            {"operation": operation, "app": client.get(f"apps/{app}"), "console": client.post("login-links")["url"]}
        )
    else:
        _summary(client, app)
    if not detach and not as_json:
        _stay(client, app)


def _isolate(*, quiet: bool) -> None:
    folder = tempfile.mkdtemp(prefix="aic-")
    os.environ |= {"AIC_HOME": folder, "AIC_ISOLATED": "1"}
    if not quiet:
        print(say("isolated: other commands reach it with AIC_HOME={folder}", folder=folder))


def _summary(client: Client, app: str) -> None:
    view = client.get(f"apps/{app}")
    shown = outputs.console()
    shown.print(
        f"\n{app}  {view['ready']}/{view['workloads']} " + say("ready") + f"  {say('release')} {view['release']}"
    )
    if view["url"]:
        shown.print(f"  {say('application')}  {view['url']}")
    shown.print(f"  {say('console')}  {client.post('login-links')['url']}\n")
    for problem in view["problems"]:
        shown.print(f"  ! {problem}")


def _stay(client: Client, app: str) -> None:
    """Show the workloads (or, without a terminal, the logs) until Ctrl-C, then take the application down. A second Ctrl-C leaves it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if sys.stdout.isatty():
            _live_table(client, app)
        else:
            for kind, record in client.events(f"apps/{app}/logs", follow="true", tail=0):
                outputs.print_log(record) if kind == "log" else None
    except KeyboardInterrupt:
        print(say("taking {app} down; press Ctrl-C again to leave it running", app=app))
    try:
        following.follow(client, client.delete(f"apps/{app}"), quiet=True)
    except KeyboardInterrupt:
        print(say("{app} may still be running: `aic ps` shows it, `aic down {app}` ends it", app=app))


def _live_table(client: Client, app: str) -> None:
    from rich.live import Live

    def now() -> Any:
        rows = [outputs.workload_row(row) for row in client.get("status")["workloads"] if row["app"] == app]
        return outputs.table(outputs.workload_columns(), rows)

    with Live(now(), auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(now(), refresh=True)


def down(
    app: AppArgument = None,
    everything: Annotated[bool, typer.Option("--all", help=say("Every application."))] = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", help=say("Erase the data of its resources too; what is protected stays."))
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask."))] = False,
    as_json: Json = False,
) -> None:
    if app and everything:
        raise UsageError(say("name an application, or say --all"))
    if app and placements.is_one(app):
        placements.down(app, volumes=volumes, yes=yes, as_json=as_json)
        return
    client = Client.of_home()
    names = [one["app"] for one in client.get("apps") if one["workloads"]] if everything else [choices.app(client, app)]
    if volumes:
        _ask_for_data(client, names, yes=yes, quiet=as_json)
    query = "?volumes=true" if volumes else ""
    started = [client.delete(f"apps/{name}{query}") for name in names]
    ended = [following.follow(client, operation, quiet=as_json or everything) for operation in started]
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("down: {apps}", apps=", ".join(names) or "–"))


def _ask_for_data(client: Client, apps: Sequence[str], *, yes: bool, quiet: bool) -> None:
    """Say what will be erased, and ask. Raises UsageError where nobody can be asked, Abort for a no."""
    rows = [row for app in apps for row in client.get(f"apps/{app}/resources")]
    gone = [row for row in rows if row["embedded"] and not row["protected"]]
    lines = [f"  {row['app']}/{row['name']}  {row['title']}  {outputs.size(row['size_bytes'])}" for row in gone]
    kept = [
        f"  {row['app']}/{row['name']}  " + (say("protected") if row["protected"] else say("elsewhere"))
        for row in rows
        if row not in gone
    ]
    question = say("erase the data of {count} resources for good?", count=len(gone))
    told = [say("this is erased:"), *lines] if gone else [say("there is no data to erase")]
    told += [say("this stays:"), *kept] if kept else []
    if not quiet:
        print("\n".join(told))
    if not gone or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(question, hint=say("nobody can be asked here: add --yes"))
    typer.confirm(question, abort=True)


def ps(app: AppArgument = None, as_json: Json = False) -> None:
    if app and placements.is_one(app):
        placements.show(app, as_json=as_json)
        return
    client = Client.of_home()
    apps = [client.get(f"apps/{app}")] if app else client.get("apps")
    workloads = [row for row in client.get("status")["workloads"] if app in (None, row["app"])]
    if as_json:
        outputs.print_json(workloads)
        return
    if not apps:
        print(say("no application yet: `aic up DIRECTORY` brings one up"))
    for one in apps:
        print(f"{one['app']}  {one['state']}  {say('release')} {one['release'] or '–'}  {one['url'] or ''}".rstrip())
        rows = [outputs.workload_row(row) for row in workloads if row["app"] == one["app"]]
        if rows:
            outputs.print_table(outputs.workload_columns(), rows, empty="")


def logs(
    app: AppArgument = None,
    workload: WorkloadArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help=say("Go on with what comes."))] = False,
    tail: Annotated[int, typer.Option("--tail", min=0, max=10000, help=say("So many lines back."))] = 200,
    as_json: Json = False,
) -> None:
    client = daemons.ensure() if placements.is_one(app) else Client.of_home()
    name = choices.app(client, app)
    query: dict[str, object] = {"workload": workload, "tail": tail}
    path = f"apps/{name}/logs"
    if placements.is_one(name):
        path = f"placements/{placements.named(name)}/logs"
        query |= placements.query()
    if not follow:
        records = client.get(path, **query)
        if as_json:
            outputs.print_json(records)
            return
        for record in records:
            outputs.print_log(record)
        return
    import json

    for kind, record in client.events(path, follow="true", **query):
        if kind == "log":
            print(json.dumps(record, ensure_ascii=False), flush=True) if as_json else outputs.print_log(record)


def open_(
    app: AppArgument = None,
    only_print: Annotated[bool, typer.Option("--print", help=say("Print the link instead of opening it."))] = False,
    as_json: Json = False,
) -> None:
    if app and placements.is_one(app):
        raise typer.Exit(placements.visit(app, only_print=only_print, as_json=as_json))
    client = Client.of_home()
    url = client.post("login-links")["url"] + (f"&next=/apps/{app}" if app else "")
    if as_json:
        outputs.print_json({"url": url})
        return
    print(url)
    if not only_print and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(url)
