"""The command table: name -> function. Each module holds commands that belong together; none imports a backend when loaded."""

from __future__ import annotations

from typing import Any

import typer

from aiculturekit import __version__
from aiculturekit.cli.commands import (
    backups,
    deliveries,
    doctors,
    environments,
    files,
    forges,
    images,
    installs,
    lives,
    looks,
    meshes,
    renders,
    resources,
    servers,
    shifts,
    snapshots,
    stores,
    visits,
)
from aiculturekit.language import say


def application() -> Any:
    """The whole command line, with help in the language in force."""
    typer.core.HAS_RICH = False  # it would write `\[required]`, though nothing here is marked up
    app = typer.Typer(
        name="aic",
        help=say("Describe an application once; run it here with one command."),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in (lives, files, deliveries, images, renders, looks, shifts, visits, doctors):
        for command in module.commands():
            name = command.__name__.rstrip("_").replace("_", "-")
            app.command(name, help=module.HELP[name]())(command)
    app.add_typer(servers.group(), name="server")
    app.add_typer(meshes.group(), name="mesh")
    app.add_typer(environments.group(), name="env")
    app.add_typer(resources.group(), name="resources")
    app.add_typer(snapshots.group(), name="snapshot")
    app.add_typer(stores.group(), name="db")
    app.add_typer(backups.group(), name="backup")
    app.add_typer(forges.group(), name="ci")
    app.add_typer(installs.install_group(), name="install")
    app.add_typer(installs.uninstall_group(), name="uninstall")
    app.callback()(_options)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"aic {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", help=say("Show the version and exit."), is_eager=True, callback=_show_version
    ),
) -> None:
    """What can stand before a command."""
