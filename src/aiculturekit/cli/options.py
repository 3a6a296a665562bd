"""Options and arguments that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from aiculturekit.cli import choices
from aiculturekit.language import say

Json = Annotated[bool, typer.Option("--json", help=say("Print JSON."))]
AppArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="APP",
        help=say("The application; the one of ./aic.yaml when left out."),
        autocompletion=choices.complete_app,
    ),
]
AppOption = Annotated[
    str | None,
    typer.Option(
        "--app", help=say("The application; the one of ./aic.yaml when left out."), autocompletion=choices.complete_app
    ),
]
WorkloadArgument = Annotated[
    str | None, typer.Argument(metavar="WORKLOAD", help=say("The workload."), autocompletion=choices.complete_workload)
]
Environment = Annotated[str | None, typer.Option("--env", help=say("The environment to use of the file."))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("Do not ask."))]
Reason = Annotated[str, typer.Option("--reason", help=say("Why, for the record."))]
To = Annotated[
    str | None, typer.Option("--to", metavar="ENV", help=say("The environment of the file whose target is a cluster."))
]
