"""snapshot save, list, restore, rm: all data of an application as it was."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from aiculturekit.cli import choices, daemons, following, outputs
from aiculturekit.cli.options import AppOption, Json, Yes
from aiculturekit.language import say

Name = Annotated[str, typer.Argument(metavar="NAME", help=say("The snapshot."))]


def group() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        help=say("All data of an application as it was at one point: save it, go back to it."),
        rich_markup_mode=None,
    )
    app.command("save", help=say("Save all data as it is now; requests wait meanwhile."))(save)
    app.command("list", help=say("Show the snapshots, newest first."))(list_)
    app.command("restore", help=say("Go back to a snapshot; what is there becomes a snapshot of its own."))(restore)
    app.command("rm", help=say("Remove a snapshot for good."))(remove)
    return app


def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help=say("Its name; the moment's own when left out."))] = "",
    app: AppOption = None,
    as_json: Json = False,
) -> None:
    client = daemons.ensure()
    chosen = choices.app(client, app)
    following.follow(client, client.post(f"apps/{chosen}/snapshots", {"name": name}), quiet=as_json)
    newest = client.get(f"apps/{chosen}/snapshots")[0]
    if as_json:
        outputs.print_json(newest)
    else:
        print(say("saved {name}: {size}", name=newest["name"], size=outputs.size(newest["bytes"])))


def list_(app: AppOption = None, as_json: Json = False) -> None:
    client = daemons.ensure()
    rows = client.get(f"apps/{choices.app(client, app)}/snapshots")
    if as_json:
        outputs.print_json(rows)
        return
    shown = [
        {
            "name": row["name"],
            "at": row["created_at"][:19].replace("T", " ") + "Z",
            "release": row["release"],
            "size": outputs.size(row["bytes"]),
            "resources": ", ".join(row["resources"]),
        }
        for row in rows
    ]
    columns = [
        ("name", say("name")), ("at", say("saved")), ("release>", say("release")), ("size>", say("size")),
        ("resources", say("resources")),
    ]  # fmt: skip
    outputs.print_table(columns, shown, empty=say("no snapshot yet: `aic snapshot save` makes one"))


def restore(name: Name, app: AppOption = None, yes: Yes = False, as_json: Json = False) -> None:
    client = daemons.ensure()
    chosen = choices.app(client, app)
    choices.confirm(
        say("{app}: go back to {name}? What is there becomes a snapshot of its own.", app=chosen, name=name), yes=yes
    )
    operation = client.post(f"apps/{chosen}/snapshots/{quote(name, safe='')}/restore")
    ended = following.follow(client, operation, quiet=as_json)
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("{app} has the data of {name} again", app=chosen, name=name))


def remove(name: Name, app: AppOption = None, yes: Yes = False, as_json: Json = False) -> None:
    client = daemons.ensure()
    chosen = choices.app(client, app)
    choices.confirm(say("{app}: remove the snapshot {name} for good?", app=chosen, name=name), yes=yes)
    gone = client.delete(f"apps/{chosen}/snapshots/{quote(name, safe='')}")
    if as_json:
        outputs.print_json(gone)
    else:
        print(say("removed {name}: {size}", name=name, size=outputs.size(gone["bytes"])))
