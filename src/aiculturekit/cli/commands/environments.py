"""env list, show, diff, promote: the environments of the application file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from aiculturekit.cli import choices, daemons, following, outputs, placements
from aiculturekit.cli.options import Json, Reason, Yes
from aiculturekit.language import say

Record = dict[str, Any]
File = Annotated[Path, typer.Option("--file", "-f", help=say("The application file, or its directory."))]
Name = Annotated[str, typer.Argument(metavar="ENV", help=say("The environment."))]


def group() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        help=say("The environments of the application file: what runs in each, and how they differ."),
        rich_markup_mode=None,
    )
    app.command("list", help=say("Show the environments: target, release, health."))(list_)
    app.command(
        "show", help=say("Show what the file says for an environment, what runs there, and its secrets by name.")
    )(show)
    app.command("diff", help=say("Show what differs between two environments: in the file, and in what runs."))(diff)
    app.command("promote", help=say("Bring what runs in one environment to another: the same images."))(promote)
    return app


def list_(file: File = Path(), as_json: Json = False) -> None:
    rows = daemons.ensure().get(_path("environments", file))
    if as_json:
        outputs.print_json(rows)
        return
    columns = [
        ("environment", say("environment")), ("target", say("target")), ("state", say("state")), ("well>", say("ready")),
        ("release>", say("release")), ("when", say("when")), ("author", say("by")), ("reason", say("reason")),
    ]  # fmt: skip
    outputs.print_table(columns, [_row(row) for row in rows], empty="")


def _row(row: Mapping[str, Any]) -> Record:
    moment = row["released_at"]
    return {
        **row,
        "well": None if not row["workloads"] else f"{row['ready']}/{row['workloads']}",
        "when": moment and moment[:19].replace("T", " ") + "Z",
    }


def show(environment: Name, file: File = Path(), as_json: Json = False) -> None:
    found = daemons.ensure().get(_path(f"environments/{environment}", file))
    if as_json:
        outputs.print_json(found)
        return
    import yaml

    row = _row(found)
    for heading, key in (
        (say("target"), "target"), (say("state"), "state"), (say("reason"), "reason"), (say("release"), "release"),
        (say("when"), "when"), (say("by"), "author"),
    ):  # fmt: skip
        if row[key] not in (None, ""):
            print(f"{heading}: {row[key]}")
    print(f"\n{yaml.safe_dump(found['spec'], sort_keys=False, allow_unicode=True, width=120)}")
    listed = [{**one, "there": _there(one["resolves"]), "reason": one["why"]} for one in found["secrets"]]
    columns = [
        ("reference", say("secret")), ("at", say("used by")), ("there", say("is there")), ("reason", say("reason"))
    ]  # fmt: skip
    outputs.print_table(columns, listed, empty=say("no secrets by reference"))


def _there(resolves: bool | None) -> str:
    return say("unknown") if resolves is None else say("yes") if resolves else say("no")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=say("The environment."))],
    other: Annotated[str, typer.Argument(metavar="B", help=say("The other one."))],
    file: File = Path(),
    as_json: Json = False,
) -> None:
    found = daemons.ensure().get(_path(f"environments/{one}/differences/{other}", file))
    if as_json:
        outputs.print_json(found)
        return
    _print(say("In the file"), found["file"], one, other, empty=say("the file says the same for both"))
    rows = [
        {
            "path": f"{row['name']} {row['version']}",
            "a": _running(row["a"]),
            "b": _running(row["b"]),
        }
        for row in found["workloads"]
    ]
    _print(say("What runs"), rows, one, other, empty=say("nothing runs in either"))
    settings = [
        {**row, "path": ".".join(filter(None, (f"{row['kind']} {row['name']}", row["path"])))}
        for row in found["settings"]
    ]
    _print(say("With what settings"), settings, one, other, empty=say("what runs is set up the same in both"))
    for side in ("a", "b"):
        if found[side]["state"] == "unknown":
            print(
                "\n"
                + say("{name} could not be asked: {why}", name=found[side]["environment"], why=found[side]["reason"])
            )


def _print(title: str, rows: list[Record], one: str, other: str, *, empty: str) -> None:
    print(f"\n{title}")
    columns = [("path", say("where")), ("text", one), ("what", other)]
    shown = [{"path": row["path"], "text": _said(row["a"]), "what": _said(row["b"])} for row in rows]
    outputs.print_table(columns, shown, empty=f"  {empty}")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return "–" if value is None else str(value)


def _running(row: Mapping[str, Any] | None) -> str | None:
    """`release 4, 2 × registry.example.com/web@sha256:…, ready`."""
    if row is None:
        return None
    image = row["image"] or say("its code here")
    number = f"{say('release')} {row['release']}, " if row["release"] else ""
    return f"{number}{row['replicas']} × {image}, {row['state']}"


def promote(
    origin: Annotated[str, typer.Argument(metavar="FROM", help=say("Where it runs now."))],
    to: Annotated[str, typer.Argument(metavar="TO", help=say("Where it is to run."))],
    file: File = Path(),
    reason: Reason = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    client = daemons.ensure()
    place = choices.file(file)
    body = {
        "file": str(place),
        "origin": origin,
        "kubeconfig": placements.kubeconfig(),
        "variables": placements.variables(place),
    }
    plan = client.post(f"environments/{to}/promote/plan", body)
    if not as_json:
        print(
            say(
                "{origin} runs release {release}; in {to} this would change:",
                origin=origin,
                release=plan["release"],
                to=to,
            )
        )
        columns = [("action", say("what")), ("kind", say("kind")), ("name", say("name")), ("why", say("why"))]
        outputs.print_table(columns, plan["steps"], empty=say("nothing: it is so already"))
    if plan["steps"]:
        choices.confirm(say("bring it to {to}?", to=to), yes=yes)
    started = client.post(f"environments/{to}/promote", {**body, "release": plan["release"], "reason": reason})
    ended = following.follow(client, started, quiet=as_json)
    if as_json:
        outputs.print_json(ended)
    else:
        print(say("{app}: release {release}", app=ended["app"], release=ended["release"]))


def _path(path: str, file: Path) -> str:
    asked = {"file": str(choices.file(file)), "kubeconfig": placements.kubeconfig()}
    return f"{path}?{urlencode({key: value for key, value in asked.items() if value})}"
