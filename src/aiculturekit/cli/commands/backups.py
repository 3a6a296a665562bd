"""backup now, list, verify, restore: copies of a resource that outlive this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from aiculturekit.cli import choices, daemons, following, outputs
from aiculturekit.cli.clients import Client
from aiculturekit.cli.options import AppOption, Json, Yes
from aiculturekit.errors import UsageError
from aiculturekit.language import say

Resource = Annotated[str, typer.Argument(metavar="RESOURCE", help=say("The resource."))]
Name = Annotated[
    str,
    typer.Argument(metavar="BACKUP", help=say("The backup, as `aic backup list` names it; the newest when left out.")),
]

At = Annotated[
    str,
    typer.Option(metavar="MOMENT", help=say("Instead of a backup: the moment to go back to (2026-11-25T08:00:00Z).")),
]


def group() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        help=say("Backups of a resource: made on schedule or now, proven, restored."),
        rich_markup_mode=None,
    )
    app.command("now", help=say("Back a resource up now; it goes on serving."))(now)
    app.command("list", help=say("Show the backups of a resource, newest first."))(list_)
    app.command("verify", help=say("Restore a backup into a server of its own and compare what it holds."))(verify)
    app.command("restore", help=say("Go back to a backup; what is there becomes a snapshot."))(restore)
    return app


def now(resource: Resource, app: AppOption = None, as_json: Json = False) -> None:
    client, place = _place(resource, app)
    following.follow(client, client.post(place), quiet=as_json)
    _show(client.get(place)[:1], as_json=as_json)


def list_(resource: Resource, app: AppOption = None, as_json: Json = False) -> None:
    client, place = _place(resource, app)
    _show(client.get(place), as_json=as_json)
    if not as_json:
        _say_log(client.get(f"{place.removesuffix('/backups')}/log"))


def verify(resource: Resource, backup: Name = "", app: AppOption = None, as_json: Json = False) -> None:
    client, place = _place(resource, app)
    name = backup or _newest(client, place)
    ended = following.follow(client, client.post(f"{place}/{quote(name, safe='')}/verify"), quiet=as_json)
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("{name} is whole: everything in it is as it was", name=name))


def restore(
    resource: Resource,
    backup: Name = "",
    at: At = "",
    app: AppOption = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    client, place = _place(resource, app)
    if at and backup:
        raise UsageError(say("a backup or --at, not both"))
    name = at or backup or _newest(client, place)
    choices.confirm(
        say("{resource}: go back to {name}? What is there becomes a snapshot.", resource=resource, name=name), yes=yes
    )
    if at:
        started = client.post(f"{place.removesuffix('/backups')}/rewind", {"at": at})
    else:
        started = client.post(f"{place}/{quote(name, safe='')}/restore")
    ended = following.follow(client, started, quiet=as_json)
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("{app} has the data of {name} again", app=resource, name=name))


def _place(resource: str, app: str | None) -> tuple[Client, str]:
    client = daemons.ensure()
    return client, f"apps/{choices.app(client, app)}/resources/{quote(resource, safe='')}/backups"


def _newest(client: Client, place: str) -> str:
    """Raises NotFound by way of the daemon where there is none."""
    found = client.get(place)
    return str(found[0]["name"]) if found else "newest"


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        outputs.print_json(rows)
        return
    shown = [
        {
            "name": row["name"],
            "at": row["created_at"][:19].replace("T", " ") + "Z",
            "size": outputs.size(row.get("bytes", 0)),
        }
        for row in rows
    ]
    columns = [("name", say("name")), ("at", say("saved")), ("size>", say("size"))]
    outputs.print_table(columns, shown, empty=say("no backup yet: `aic backup now` makes one"))


def _say_log(log: Mapping[str, Any]) -> None:
    if not log:
        return
    if log["shipped_at"]:
        print(say("the last part of its log was put there at {moment}", moment=log["shipped_at"]))
    if log["trouble"]:
        print(
            say(
                "{count} parts of its log wait on this machine: {trouble}", count=log["waiting"], trouble=log["trouble"]
            )
        )
