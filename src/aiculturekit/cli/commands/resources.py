"""resources: the databases, caches and stores of the applications."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from aiculturekit.cli import choices, daemons, following, outputs
from aiculturekit.cli.clients import Client
from aiculturekit.cli.options import AppOption, Json
from aiculturekit.language import say

App = Annotated[
    str | None,
    typer.Option("--app", help=say("Only those of this application."), autocompletion=choices.complete_app),
]


def group() -> typer.Typer:
    app = typer.Typer(
        invoke_without_command=True,
        help=say("Show the databases, caches and stores of the applications."),
        rich_markup_mode=None,
    )
    app.callback()(resources)
    app.command("rotate", help=say("New passwords for all who use a resource; no request fails."))(rotate)
    return app


def resources(context: typer.Context, app: App = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is not None:
        return
    client = Client.of_home()
    rows = client.get(f"apps/{app}/resources") if app else client.get("resources")
    if as_json:
        outputs.print_json(rows)
        return
    shown = [_row(row) for row in rows]
    columns = [
        ("app", say("application")), ("name", say("resource")), ("type", say("type")), ("version", say("version")), ("state", say("state")),
        ("size>", say("size")), ("memory>", say("memory")), ("url", say("address")),
    ]  # fmt: skip
    outputs.print_table(
        columns, shown, empty=say("no resource yet: name one under `resources:` in the application file")
    )
    for row in rows:
        for fault in row["faults"]:
            print(f"{row['app']} {row['name']}: {fault}")


def rotate(
    name: Annotated[str, typer.Argument(metavar="NAME", help=say("The resource."))],
    app: AppOption = None,
    as_json: Json = False,
) -> None:
    client = daemons.ensure()
    chosen = choices.app(client, app)
    operation = client.post(f"apps/{chosen}/resources/{quote(name, safe='')}/rotate")
    ended = following.follow(client, operation, quiet=as_json)
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("{name} has new passwords; the old ones are no longer valid", name=name))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    sized = None if row["size_bytes"] is None else outputs.size(row["size_bytes"])
    return row | {"size": sized, "memory": outputs.memory(row["memory_bytes"])}
