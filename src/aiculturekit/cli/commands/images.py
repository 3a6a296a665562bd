"""build: images of the workloads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, clients, outputs
from aiculturekit.cli.options import Environment, Json
from aiculturekit.language import say

HELP = {"build": lambda: say("Make an OCI image of each workload, without Docker; push it, or write it to files.")}


def commands() -> list[Any]:
    return [build]


def build(
    path: Annotated[Path, typer.Argument(help=say("The application file, or its directory."))] = Path(),
    environment: Environment = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push", metavar="REGISTRY", help=say("Push to REGISTRY/PATH/NAME; http:// for one without TLS.")
        ),
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", help=say("The tag to push under; made of the digest when left out."))
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=say("An OCI layout's directory, or a FILE.tar for `docker load`.")),
    ] = None,
    workload: Annotated[
        list[str] | None, typer.Option("--workload", help=say("Only this workload; any number of them."))
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform", help=say("linux/amd64 or linux/arm64, or both, with a comma; this machine's when left out.")
        ),
    ] = None,
    pull: Annotated[bool, typer.Option("--pull", help=say("Ask the base's registry what its tag means now."))] = False,
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", help=say("Where to look first: HOST for Docker Hub, or REGISTRY=HOST, with commas.")),
    ] = None,
    as_json: Json = False,
) -> None:
    import asyncio

    from aiculturekit.control import images
    from aiculturekit.images import platforms

    order = images.Order(
        only=tuple(workload or ()),
        push=push or "",
        tag=tag or "",
        output=output.expanduser().absolute() if output else None,
        platforms=platforms.listed(platform or ()),
        is_fresh=pull,
        mirrors=mirror,
    )
    made = asyncio.run(
        images.build(
            choices.file(path),
            environment=environment,
            order=order,
            store=clients.home() / "images",
            progress=_tell(as_json),
        )
    )
    if as_json:
        outputs.print_json([image.as_dict() for image in made])
        return
    rows = [{**image.as_dict(), "size": outputs.size(image.as_dict()["size_bytes"])} for image in made]
    columns = [("name", say("image")), ("size>", say("size")), ("reference" if push else "digest", say("digest"))]
    outputs.print_table(columns, rows, empty=say("nothing to build: every workload names a ready image"))
    if output is not None:
        print(say("written to {place}", place=output))


def _tell(is_quiet: bool) -> Any:
    """Progress goes to standard error: what is printed can be read by programs."""
    return (lambda line: None) if is_quiet else (lambda line: print(line, file=sys.stderr, flush=True))
