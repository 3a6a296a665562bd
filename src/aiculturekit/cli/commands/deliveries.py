"""deploy, promote: a new version takes over step by step, or all at once after a look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, daemons, following, outputs, placements, trees
from aiculturekit.cli.clients import Answered, Client
from aiculturekit.cli.options import AppArgument, Environment, Json, Reason, To
from aiculturekit.errors import Unreachable, UsageError
from aiculturekit.language import say

HELP = {
    "deploy": lambda: say("Bring a new version up beside what runs, and shift requests to it while it does well."),
    "promote": lambda: say("Let the new version take over now, without waiting."),
}
_SIGNS = {"done": ("✓", "green"), "back": ("↩", "yellow"), "failed": ("✗", "bold red"), "dropped": ("✗", "bold red")}


def commands() -> list[Any]:
    return [deploy, promote]


def deploy(
    path: Annotated[Path, typer.Argument(help=say("The application file, or its directory."))] = Path(),
    canary: Annotated[
        str | None,
        typer.Option("--canary", metavar="STEPS", help=say("Percentages of the requests, in order: 5,25,50,100.")),
    ] = None,
    blue_green: Annotated[
        bool,
        typer.Option(
            "--blue-green", help=say("Bring the new version up without requests, and wait for `aic promote`.")
        ),
    ] = False,
    every: Annotated[str, typer.Option("--every", help=say("How long each step of a canary lasts."))] = "30s",
    slo: Annotated[
        str,
        typer.Option("--slo", help=say("What must hold: errors<1% p95<400ms; for a canary errors<1% when left out.")),
    ] = "",
    min_requests: Annotated[
        int | None,
        typer.Option(
            "--min-requests", min=1, help=say("Requests that a judgement needs; follows from the SLO when left out.")
        ),
    ] = None,
    patience: Annotated[
        str | None,
        typer.Option(
            "--patience",
            help=say("Longest wait of a step for so many requests, then it goes back; ten steps when left out."),
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help=say("The version of the file that requests move to: v2, or SERVICE/v2.")),
    ] = None,
    promote_after: Annotated[
        str | None,
        typer.Option("--promote-after", help=say("Blue/green: promote by itself after this time, if the SLO holds.")),
    ] = None,
    keep: Annotated[
        str, typer.Option("--keep", help=say("Blue/green: how long the old version stays for an instant way back."))
    ] = "10m",
    abort: Annotated[
        str | None, typer.Option("--abort", metavar="APP", help=say("Go back to what ran before."))
    ] = None,
    follow: Annotated[
        str | None, typer.Option("--follow", metavar="APP", help=say("Follow the delivery that is under way."))
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help=say("Return at once; the daemon carries it on."))
    ] = False,
    environment: Environment = None,
    to: To = None,
    force_conflicts: Annotated[
        bool,
        typer.Option("--force-conflicts", help=say("With --to: take over what others manage of the objects there.")),
    ] = False,
    gitops: Annotated[
        Path | None,
        typer.Option(
            "--gitops",
            metavar="DIR",
            help=say("With --to: write the objects into a Git tree that Argo CD or Flux watch, and ask no cluster."),
        ),
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    if abort or follow:
        _on_running(abort, follow, reason=reason, as_json=as_json)
        return
    if gitops and not to:
        raise UsageError(say("--gitops needs an environment"), hint=say("say which: --to ENVIRONMENT"))
    if to:
        if blue_green or canary:
            raise UsageError(
                say("in a cluster a new version takes over by a rolling update"),
                hint=say(
                    "run two versions side by side (`versions:`), and shift: `aic traffic --app APP@ENV SERVICE v2=10%`"
                ),
            )
        if gitops:
            trees.write(choices.file(path), environment=to, folder=gitops, as_json=as_json)
            return
        placements.deploy(path, to=to, reason=reason, force_conflicts=force_conflicts, detach=detach, as_json=as_json)
        return
    if blue_green == (canary is not None):
        raise UsageError(
            say("say how: --canary 5,25,50,100 or --blue-green; or where: --to ENVIRONMENT"),
            hint=say("`aic up` brings the new version up at once"),
        )
    body = {
        "file": str(choices.file(path)), "environment": environment, "reason": reason, "canary": canary, "every": every, "slo": slo,
        "min_requests": min_requests, "patience": patience, "version": version, "promote_after": promote_after, "keep": keep,
    }  # fmt: skip
    client = daemons.ensure()
    operation = client.post("deliveries", body)
    if detach:
        outputs.print_json(operation) if as_json else print(_ways(operation["app"]))
        return
    _follow(client, operation, as_json=as_json)


def promote(app: AppArgument = None, reason: Reason = "", as_json: Json = False) -> None:
    client = Client.of_home()
    name = choices.app(client, app)
    view = client.get(f"apps/{name}/delivery")
    operation = client.post(f"apps/{name}/delivery/promote", {"reason": reason})
    if view["kind"] == "canary":
        _end(client, operation, as_json=as_json, good=("done",))
        return
    _switched(client, name, operation, view, as_json=as_json)


def _switched(client: Client, app: str, operation: dict[str, Any], before: dict[str, Any], *, as_json: bool) -> None:
    """Blue/green: until the new version has the requests; the old one is kept for a while then."""
    view = before
    for kind, payload in client.events(f"operations/{operation['id']}/events"):
        view = payload if kind == "delivery" else view
        if kind == "done" or (kind == "delivery" and _has_all(payload, before)):
            break
    view = client.get(f"apps/{app}/delivery")
    if as_json:
        outputs.print_json(view)
    else:
        _line(view)
        if view["state"] == "running":
            print(say("the old version is kept for a while: `aic rollback {app}` goes back at once", app=app))
    if view["state"] not in ("running", "finishing", "done"):
        raise typer.Exit(1)


def _has_all(view: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether the requests are on the new version, and were not before the order (then it waits for the end)."""
    if view["state"] != "running":
        return bool(view["state"] not in ("finishing", "returning"))
    return bool(view["weight"] == 100 and before["weight"] < 100 and len(view["releases"]) > len(before["releases"]))


def _on_running(abort: str | None, follow: str | None, *, reason: str, as_json: bool) -> None:
    client = Client.of_home()
    if abort:
        _end(client, client.post(f"apps/{abort}/delivery/abort", {"reason": reason}), as_json=as_json, good=("back",))
        return
    view = client.get(f"apps/{follow}/delivery")
    if view["ended_at"]:
        outputs.print_json(view) if as_json else _line(view)
        return
    _follow(client, {"id": view["operation"], "app": follow}, as_json=as_json)


def _follow(client: Client, operation: dict[str, Any], *, as_json: bool) -> None:
    """To the end; Ctrl-C only stops following."""
    app, last = operation["app"], ""
    try:
        for kind, payload in client.events(f"operations/{operation['id']}/events"):
            if kind == "delivery" and not as_json:
                if payload["sentence"] not in ("", last):
                    _line(payload)
                last = payload["sentence"]
            elif kind in ("step", "progress") and not as_json:
                following.show(kind, payload)
            elif kind == "done":
                _outcome(client, payload, as_json=as_json)
                return
        raise Unreachable(
            say("the daemon ended"),
            hint=say("the next one carries the delivery on: `aic server start`, `aic deploy --follow {app}`", app=app),
        )
    except KeyboardInterrupt:
        print(_ways(app))


def _ways(app: str) -> str:
    lines = [
        say("the daemon carries it on"),
        say("  follow:  aic deploy --follow {app}", app=app),
        say("  finish:  aic promote {app}", app=app),
        say("  go back: aic deploy --abort {app}", app=app),
    ]
    return "\n".join(lines)


def _end(client: Client, operation: dict[str, Any], *, as_json: bool, good: tuple[str, ...]) -> None:
    """Wait for the end of an ordered delivery, and say what it came to. Exit code 1 for anything but `good`."""
    for kind, _ in client.events(f"operations/{operation['id']}/events"):
        if kind == "done":
            break
    view = client.get(f"apps/{operation['app']}/delivery")
    outputs.print_json(view) if as_json else _line(view)
    if view["state"] not in good:
        raise typer.Exit(1)


def _outcome(client: Client, operation: dict[str, Any], *, as_json: bool) -> None:
    """A file that only had to be made true ended as `up` does; a delivery that went back is exit code 1, whoever said so."""
    if operation["verb"] != "deploy":
        if operation["error"]:
            raise Answered(operation["error"])
        outputs.print_json(operation) if as_json else print(
            say("nothing that runs changed its code: the file is true, release {release}", release=operation["release"])
        )
        return
    view = client.get(f"apps/{operation['app']}/delivery")
    if as_json:
        outputs.print_json(view)
    if operation["error"]:
        raise Answered(operation["error"])
    if view["state"] != "done":
        raise typer.Exit(1)


def _line(view: dict[str, Any]) -> None:
    """`  ▸ 25%  12 s to go; web canary: 0.0% errors, …`"""
    from rich.text import Text

    sign, style = _SIGNS.get(view["state"], ("▸", "cyan"))
    weight = "" if view["ended_at"] else f"{view['weight']:g}%  "
    outputs.console().print(Text(f"  {sign} ", style=style) + Text(f"{weight}{view['sentence']}"), soft_wrap=True)
