"""Which application, which file: what a command means when it does not say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer

from aiculturekit.cli.clients import Client
from aiculturekit.errors import AicError, Mistake, UsageError
from aiculturekit.language import say

SPEC_FILE = "aic.yaml"


def file(path: Path) -> Path:
    """The application file at a path that names it or its directory. Raises Mistake when there is none."""
    place = path.expanduser().absolute()
    place = place / SPEC_FILE if place.is_dir() else place
    if not place.exists():
        raise Mistake(say("there is no file {file}", file=place), hint=say("`aic init` writes one to start from"))
    return place


def app(client: Client, given: str | None) -> str:
    """The application named, else the one of ./aic.yaml, else the only one that is up."""
    if given:
        return given
    if here := app_here():
        return here
    up = [one["app"] for one in client.get("apps") if one["state"] != "down"]
    if len(up) == 1:
        return str(up[0])
    hint = say("name one of {apps}", apps=", ".join(up)) if up else say("`aic up DIRECTORY` brings one up")
    raise UsageError(say("which application?"), hint=hint)


def app_here() -> str | None:
    """The application of ./aic.yaml."""
    here = Path(SPEC_FILE)
    if not here.is_file():
        return None
    found = re.search(r"^app:\s*([a-z0-9-]+)\s*(#|$)", here.read_text("utf-8", "replace"), re.M)
    return found[1] if found else None


def confirm(question: str, *, yes: bool) -> None:
    """Goes on for a yes. Raises Abort for a no, and UsageError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(question, hint=say("nobody can be asked here: add --yes"))
    typer.confirm(question, abort=True)


def complete_app(incomplete: str) -> list[str]:
    """For the shell's completion: names of applications; silent when nobody answers."""
    try:
        return [one["app"] for one in Client.of_home().get("apps") if one["app"].startswith(incomplete)]
    except AicError:
        return []


def complete_workload(incomplete: str) -> list[str]:
    try:
        names = {one["name"] for one in Client.of_home().get("status")["workloads"]}
    except AicError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))
