"""traffic, rollback, restart, scale: changes without a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, following, outputs, placements
from aiculturekit.cli.clients import Client
from aiculturekit.cli.options import AppArgument, AppOption, Json, Reason
from aiculturekit.errors import UsageError
from aiculturekit.language import say

HELP = {
    "traffic": lambda: say("Shift traffic between versions: traffic payment-service v2=25%."),
    "rollback": lambda: say("Go back to an earlier release."),
    "restart": lambda: say("Give a workload new processes, without a failed request; run a job now."),
    "scale": lambda: say("Run so many replicas of a workload."),
}

Workload = Annotated[
    str, typer.Argument(metavar="WORKLOAD", help=say("The workload."), autocompletion=choices.complete_workload)
]


def commands() -> list[Any]:
    return [traffic, rollback, restart, scale]


def traffic(
    service: Annotated[str, typer.Argument(help=say("The service."), autocompletion=choices.complete_workload)],
    weights: Annotated[
        list[str] | None, typer.Argument(help=say("VERSION=PERCENT; what is left out shares the rest."))
    ] = None,
    app: AppOption = None,
    as_json: Json = False,
) -> None:
    client = Client.of_home()
    prefix, slash, rest = service.partition("/")
    name, service = (prefix, rest) if slash else (choices.app(client, app), service)
    body = {"weights": dict(_weight(text) for text in weights or ())}
    if placements.is_one(name):
        _finish(placements.change(name, f"/traffic/{service}", body, as_json=as_json), as_json)
        return
    if weights:
        operation = following.follow(client, client.post(f"apps/{name}/traffic/{service}", body), quiet=as_json)
        if as_json:
            outputs.print_json(operation)
            return
    versions = client.get(f"apps/{name}/workloads/{service}")["versions"]
    if as_json:
        outputs.print_json(versions)
        return
    rows = [
        {**outputs.workload_row(row), "share": f"{row['weight'] or 0:g}%", "match": row["match_text"]}
        for row in versions
    ]
    columns = [
        ("version", say("version")),
        ("share>", say("weight")),
        ("match", say("match")),
        ("state", say("state")),
        ("rate>", say("req/s")),
    ]
    outputs.print_table(columns, rows, empty="")


def _weight(text: str) -> tuple[str, float]:
    version, equals, percent = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return version, float(percent.removesuffix("%"))
    except ValueError:
        raise UsageError(
            say("{text} does not read VERSION=PERCENT", text=repr(text)), hint="aic traffic payment-service v2=25%"
        ) from None


def rollback(
    app: AppArgument = None,
    release: Annotated[
        int | None, typer.Argument(help=say("The release to go back to; the one before when left out."))
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    client = Client.of_home()
    if app is not None and app.isdigit() and release is None:
        app, release = "", int(app)
    name = choices.app(client, app or None)
    body = {"release": release, "reason": reason}
    if placements.is_one(name):
        _finish(placements.change(name, "/rollback", body, as_json=as_json), as_json)
        return
    _finish(following.follow(client, client.post(f"apps/{name}/rollback", body), quiet=as_json), as_json)


def restart(workload: Workload, app: AppOption = None, as_json: Json = False) -> None:
    client = Client.of_home()
    name = choices.app(client, app)
    _finish(following.follow(client, client.post(f"apps/{name}/workloads/{workload}/restart"), quiet=as_json), as_json)


def scale(
    workload: Workload,
    replicas: Annotated[int, typer.Argument(min=0, max=100, help=say("Replicas."))],
    version: Annotated[str | None, typer.Option("--version", help=say("Only this version."))] = None,
    app: AppOption = None,
    as_json: Json = False,
) -> None:
    client = Client.of_home()
    name = choices.app(client, app)
    body = {"replicas": replicas, "version": version}
    _finish(
        following.follow(client, client.post(f"apps/{name}/workloads/{workload}/scale", body), quiet=as_json), as_json
    )


def _finish(operation: dict[str, Any], as_json: bool) -> None:
    if as_json:
        outputs.print_json(operation)
    else:
        print(say("done: release {release}", release=operation["release"]))
