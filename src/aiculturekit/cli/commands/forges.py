"""ci github, gitlab, gitee, jenkins, comment: what a forge runs when somebody pushes or asks for a merge."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, comments, outputs
from aiculturekit.cli.options import Json
from aiculturekit.errors import HostTrouble, Mistake, UsageError
from aiculturekit.language import say

FORGES = {"github": "GitHub Actions", "gitlab": "GitLab CI", "gitee": "Gitee Go", "jenkins": "Jenkins"}
PathArgument = Annotated[Path, typer.Argument(help=say("The application file, or its directory."))]


def group() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        help=say("A pipeline for a forge: checks, tests, builds, scans, plans, deploys."),
        rich_markup_mode=None,
    )
    for name, title in FORGES.items():
        app.command(name, help=say("Write the pipeline for {title}.", title=title))(_command(name))
    app.command("comment", help=say("In a pipeline: say the plans in the merge request, in one comment."))(comment)
    return app


def _command(forge: str) -> Callable[..., int]:
    def write(
        path: PathArgument = Path(),
        check: Annotated[
            bool, typer.Option("--check", help=say("Write nothing; fail where the file is not what would be written."))
        ] = False,
        shown: Annotated[bool, typer.Option("--print", help=say("Print it instead of writing it."))] = False,
        force: Annotated[
            bool, typer.Option("--force", help=say("Overwrite a file that a hand wrote or changed."))
        ] = False,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help=say("Another file than the one that the forge reads."))
        ] = None,
        branch: Annotated[str, typer.Option("--branch", help=say("The branch whose pushes are deployed."))] = "main",
        approve: Annotated[
            list[str] | None,
            typer.Option(
                "--approve",
                metavar="ENV",
                help=say("An environment that waits for a person; production and the last of several when left out."),
            ),
        ] = None,
        install: Annotated[
            str, typer.Option("--install", help=say("The command by which the pipeline gets aic."))
        ] = "",
        as_json: Json = False,
    ) -> int:
        from aiculturekit.control import pipelines

        wish = pipelines.Wish(branch, tuple(approve or ()), install)
        made = pipelines.written(choices.file(path), forge=forge, wish=wish)
        if shown:
            print(made.text, end="")
            return 0
        file = output.expanduser().absolute() if output else made.file
        return _checked(file, made.text) if check else _write(file, made, force=force, as_json=as_json)

    return write


def _checked(file: Path, text: str) -> int:
    if _text(file) == text:
        print(say("{file} is up to date", file=file))
        return 0
    raise Mistake(
        say("{file} is not what would be written now", file=file),
        hint=say("run the command without --check, and commit what it writes"),
    )


def _write(file: Path, made: Any, *, force: bool, as_json: bool) -> int:
    from aiculturekit.forges import stamps

    there = _text(file)
    if there is not None and there != made.text and not force and stamps.is_changed(there):
        what = (
            say("{file} was changed by hand", file=file)
            if stamps.is_ours(there)
            else say("{file} is not of this command", file=file)
        )
        raise Mistake(
            what + "; " + say("nothing was written"),
            hint=say("--print shows what would be written, -o writes it elsewhere, --force overwrites"),
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made.text, "utf-8")
    except OSError as error:
        raise HostTrouble(say("{file} can't be written: {error}", file=file, error=error.strerror or "")) from error
    if as_json:
        outputs.print_json({"file": str(file), "deploys": list(made.deploys), "changed": there != made.text})
        return 0
    print(say("written: {files}", files=file) if there != made.text else say("{file} is up to date", file=file))
    if not made.deploys:
        print(
            say("no environment of the file goes to a cluster: it checks, tests, builds and scans, and deploys nothing")
        )
    return 0


def _text(file: Path) -> str | None:
    """None where there is no file."""
    try:
        return file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostTrouble(say("{file} can't be read: {error}", file=file, error=error.strerror or "")) from error


def comment(
    path: PathArgument = Path(),
    plan: Annotated[
        list[str] | None, typer.Option("--plan", metavar="ENV=FILE", help=say("What `aic plan --to ENV` printed."))
    ] = None,
    as_json: Json = False,
) -> None:
    plans = [_plan(one) for one in plan or []]
    if not plans:
        raise UsageError(say("there is no plan to say"), hint="--plan staging=FILE")
    from aiculturekit.spec import load

    app = load.load(choices.file(path)).app
    address = comments.said(app, plans, variables=os.environ)
    outputs.print_json({"comment": address}) if as_json else print(say("said in {address}", address=address))


def _plan(text: str) -> tuple[str, str]:
    name, separator, file = text.partition("=")
    if not separator:
        raise UsageError(say("{text} is no ENV=FILE", text=repr(text)), hint="--plan staging=FILE")
    found = _text(Path(file))
    return name, found if found is not None else say("there is no plan: look at the run's log")
