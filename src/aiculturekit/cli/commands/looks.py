"""status, releases, targets: what is the case."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, daemons, outputs, placements, statistics
from aiculturekit.cli.clients import Client, home
from aiculturekit.cli.options import AppArgument, Json
from aiculturekit.errors import Unreachable
from aiculturekit.language import say

_REFUSALS = 5
"""At most so many lines of refused calls; the console shows all."""

HELP = {
    "status": lambda: say("Show the daemon, its addresses and every workload."),
    "releases": lambda: say("Show an application's releases."),
    "targets": lambda: say("Show where applications can run."),
}


def commands() -> list[Any]:
    return [status, releases, targets]


def status(as_json: Json = False) -> int:
    try:
        view = Client.of_home().get("status")
    except Unreachable as error:
        if not as_json:
            raise
        outputs.print_json({"daemon": None, "home": str(home()), "workloads": [], "message": error.message})
        return error.exit_code
    if as_json:
        outputs.print_json(view)
        return 0
    daemon = view["daemon"]
    print(f"{say('daemon')}     {daemon['version']}  pid {daemon['pid']}  {say('since')} {daemon['started_at'][:19]}Z")
    print(f"{say('home')}       {view['home']}")
    print(f"{say('ingress')}    {view['ingress']}\n{say('console')}    {view['console']}")
    print(f"Envoy      pid {view['envoy']['pid']}")
    print(f"{say('isolation')}  {_isolation(view)}")
    print()
    rows = [{**outputs.workload_row(row), "app": row["app"]} for row in view["workloads"]]
    columns = [("app", say("application")), *outputs.workload_columns()]
    outputs.print_table(columns, rows, empty=say("no application yet: `aic up DIRECTORY` brings one up"))
    _print_refusals(Client.of_home().get("refusals"))
    return 0


def _print_refusals(records: list[dict[str, Any]]) -> None:
    """The latest of what was not let through, with the line that decides it."""
    for record in records[:_REFUSALS]:
        place = f" ({record['file'].rpartition('/')[2]}:{record['line']})" if record["line"] else ""
        times = say("{count} times", count=record["count"])
        print(f"\n{record['message']}, {times}\n  {record['hint']}{place}")


def _isolation(view: dict[str, Any]) -> str:
    from aiculturekit.engine import isolation

    return isolation.meaning(view["isolation"], view["isolation_reason"])


def releases(
    app: AppArgument = None,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats", help=say("Show how deploying goes instead: success, times, failures, use of resources.")
        ),
    ] = False,
    since: Annotated[str, typer.Option("--since", help=say("With --stats: of so long a time."))] = "30d",
    as_json: Json = False,
) -> None:
    if stats:
        statistics.show(app, since=since, as_json=as_json)
        return
    client = daemons.ensure() if placements.is_one(app) else Client.of_home()
    name = choices.app(client, app)
    listed = client.get(placements.path(name, "/releases") if placements.is_one(name) else f"apps/{name}/releases")
    if as_json:
        outputs.print_json(listed)
        return
    columns = [
        ("number>", say("release")), ("state", say("state")), ("when", say("when")), ("took>", say("took")), ("author", say("by")),
        ("changes>", say("changes")), ("reason", say("reason")),
    ]  # fmt: skip
    rows = [
        {
            **one,
            "when": one["created_at"][:19].replace("T", " ") + "Z",
            "took": None if one["duration_s"] is None else f"{one['duration_s']:.1f} s",
            "changes": len(one["changes"]),
        }
        for one in listed
    ]
    outputs.print_table(columns, rows, empty="")
    for one in listed[:1]:
        _print_output(one)


def _print_output(release: dict[str, Any]) -> None:
    """What the migrations of the newest release printed."""
    for change in release["changes"]:
        if change.get("output"):
            print(
                "\n"
                + say("release {number}, {name}:", number=release["number"], name=f"{change['kind']} {change['name']}")
            )
            print("\n".join(f"    {line}" for line in change["output"]))


def targets(as_json: Json = False) -> None:
    from aiculturekit.targets import tiers

    rows = tiers.described()
    if as_json:
        outputs.print_json(rows)
        return
    columns = [("scheme", say("target")), ("tier", say("proven")), ("way", say("command")), ("what", say("what it is"))]
    outputs.print_table(columns, rows, empty="")
