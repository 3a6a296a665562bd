"""install, uninstall: the platform in a cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, clients, outputs, placements, trees
from aiculturekit.cli.options import Json, Yes
from aiculturekit.errors import UsageError
from aiculturekit.language import say

Target = Annotated[
    str,
    typer.Argument(
        metavar="[CONTEXT/NAMESPACE]",
        help=say("Where; or a URL as in an application file. The current context's namespace `aic` when left out."),
    ),
]
State = Annotated[
    str,
    typer.Option(
        "--state",
        envvar="AIC_PLATFORM_STATE",
        help=say("A PostgreSQL that stands elsewhere, by URL; else one is installed along with it."),
    ),
]


def install_group() -> Any:
    app = typer.Typer(help=say("Install the platform in a cluster."), no_args_is_help=True, rich_markup_mode=None)
    app.callback()(_nothing)
    app.command("kubernetes", help=say("Daemons with their state in PostgreSQL, and the console behind a login."))(
        install
    )
    return app


def uninstall_group() -> Any:
    app = typer.Typer(help=say("Take the platform out of a cluster."), no_args_is_help=True, rich_markup_mode=None)
    app.callback()(_nothing)
    app.command("kubernetes", help=say("All but its data; what was deployed through it stays and runs."))(uninstall)
    return app


def _nothing() -> None:
    """What can stand before a command."""


def install(
    target: Target = "",
    registry: Annotated[
        str, typer.Option("--registry", help=say("Push the platform's image there; http:// for one without TLS."))
    ] = "",
    image: Annotated[str, typer.Option("--image", help=say("This image instead of one that is built here."))] = "",
    base: Annotated[
        str, typer.Option("--base", help=say("The image to build on; python:3.12-slim when left out."))
    ] = "",
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform", help=say("linux/amd64 or linux/arm64, or both, with a comma; this machine's when left out.")
        ),
    ] = None,
    state: State = "",
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, max=9, help=say("How many daemons; one of them leads."))
    ] = 2,
    namespace: Annotated[
        list[str] | None,
        typer.Option("--only", help=say("Deploy into this namespace alone; any number of them, which are there.")),
    ] = None,
    render: Annotated[bool, typer.Option("--render", help=say("Print the objects, and ask no cluster."))] = False,
    form: Annotated[str, typer.Option("--format", help=say("With --render -o: plain or helm."))] = "plain",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=say("A directory to write to, a file for each object."))
    ] = None,
    as_json: Json = False,
) -> None:
    import asyncio

    from aiculturekit.control import installs
    from aiculturekit.images import platforms

    order = installs.Order(
        target=target,
        image=image,
        base=base,
        platforms=platforms.listed(platform or ()),
        replicas=replicas,
        state=state,
        namespaces=tuple(namespace or ()),
        registry=registry,
        kubeconfig=placements.kubeconfig(),
    )
    if render:
        _render(order, form=form, output=output, as_json=as_json)
        return
    done = asyncio.run(installs.install(order, store=clients.home() / "images", tell=_tell(as_json)))
    if as_json:
        outputs.print_json(done)
        return
    print(
        say(
            "the platform runs in {namespace}: {count} daemons, one of which leads",
            namespace=done["namespace"],
            count=replicas,
        )
    )
    if done["server"].startswith("http://127."):
        print(say("reach it: {command}", command=done["forward"]))
    print(say("its console: {url}", url=done["server"]))
    print(say("its password: {command}", command=done["password"]))
    print(
        say(
            "deploy through it: export AIC_SERVER={url} AIC_TOKEN=PASSWORD, then aic deploy --to ENV",
            url=done["server"],
        )
    )


def uninstall(
    target: Target = "",
    volumes: Annotated[bool, typer.Option("--volumes", help=say("Erase its database and its passwords, too."))] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    import asyncio

    from aiculturekit.control import installs

    if volumes:
        choices.confirm(say("erase the platform's releases, journal and passwords for good?"), yes=yes)
    order = installs.Order(target=target, kubeconfig=placements.kubeconfig())
    kept = asyncio.run(installs.uninstall(order, volumes=volumes, tell=_tell(as_json)))
    if as_json:
        outputs.print_json({"kept": kept})
        return
    print(say("the platform is gone; what stays: {kept}", kept=", ".join(kept) or "–"))


def _render(order: Any, *, form: str, output: Path | None, as_json: bool) -> None:
    from aiculturekit.cli.commands import renders
    from aiculturekit.control import installs

    if form not in ("plain", "helm"):
        raise UsageError(say("there is no format {name}", name=repr(form)), hint="plain, helm")
    if form == "helm":
        if output is None:
            raise UsageError(say("{form} is several files", form=form), hint=say("name a directory: -o DIRECTORY"))
        files = trees.fill(output.expanduser().absolute(), installs.chart(order))
        outputs.print_json([str(one) for one in files]) if as_json else print(
            say("{count} files written to {folder}", count=len(files), folder=output)
        )
        return
    renders.shown(installs.objects(order), output=output, as_json=as_json)


def _tell(is_quiet: bool) -> Callable[[str], None]:
    """Progress goes to standard error: what is printed can be read by programs."""
    return (lambda line: None) if is_quiet else (lambda line: print(line, file=sys.stderr, flush=True))
