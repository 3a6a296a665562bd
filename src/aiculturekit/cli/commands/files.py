"""init, check, explain, schema, plan: the application file itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, imports, outputs
from aiculturekit.cli.options import Environment, Json, To
from aiculturekit.errors import Mistake, SpecError
from aiculturekit.language import say

HELP = {
    "init": lambda: say("Write an application file and a small program to start from."),
    "check": lambda: say("Say everything that is wrong with an application file."),
    "explain": lambda: say("Show the manual of a key: services.traffic."),
    "schema": lambda: say("Print the JSON Schema of the file, for editors."),
    "plan": lambda: say("Show what `up` would change, and why; with --to, what `deploy` would. Touches nothing."),
    "diff": lambda: say("The same as plan."),
}

PathArgument = Annotated[Path, typer.Argument(help=say("The application file, or its directory."))]

_FILE = """\
# `aic explain` is the manual of every key; `aic check` reads this file; `aic up` makes it true.
app: {name}

services:
  web:
    run: python app.py       # listens on $PORT
    public: /                # the ingress sends / here
    # needs: [other]         # what it calls: gives it OTHER_URL, and the permission
    # health: /healthz       # may it get requests? a listening port is enough when left out
    # scale: 2               # replicas
"""

_PROGRAM = '''\
"""Answers every request with a line of text."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"Hello from {self.path}\\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
'''


def commands() -> list[Any]:
    return [init, check, explain, schema, plan, diff]


def init(
    directory: Annotated[Path, typer.Argument(help=say("Where to write it; with --from, the file to read."))] = Path(),
    kind: Annotated[
        str | None,
        typer.Option("--from", metavar="KIND", help=say("Start from another tool's files: compose, kubernetes.")),
    ] = None,
    as_json: Json = False,
) -> None:
    if kind is not None:
        imports.import_(kind, directory, as_json=as_json)
        return
    place = directory.expanduser().absolute()
    place.mkdir(parents=True, exist_ok=True)
    file, program = place / choices.SPEC_FILE, place / "app.py"
    if file.exists():
        raise Mistake(say("{file} is already there; nothing was written", file=file), hint=say("`aic check` reads it"))
    file.write_text(_FILE.format(name=_name(place)))
    written = [file]
    if not program.exists():
        program.write_text(_PROGRAM)
        written.append(program)
    if as_json:
        outputs.print_json([str(path) for path in written])
        return
    print(say("written: {files}", files=", ".join(path.name for path in written)))
    print(say("next: `aic up {place}`", place=directory))


def _name(place: Path) -> str:
    letters = "".join(
        character if character.isascii() and character.isalnum() else "-" for character in place.name.lower()
    )
    return letters.strip("-0123456789")[:40].strip("-") or "hello"


def check(path: PathArgument = Path(), environment: Environment = None, as_json: Json = False) -> int:
    from aiculturekit.spec import load

    try:
        application = load.load(choices.file(path), environment=environment)
        if load.is_here(application.target):  # else the variables are those of whoever deploys
            application = load.load(application.file, environment=environment, variables=os.environ)
    except SpecError as error:
        if not as_json:
            raise
        outputs.print_json([problem.as_dict() for problem in error.problems])
        return error.exit_code
    if as_json:
        outputs.print_json([])
        return 0
    count = len(application.services) + len(application.jobs) + len(application.functions)
    print(say("{app}: {count} workloads, no mistakes", app=application.app, count=count))
    return 0


def explain(
    key: Annotated[str, typer.Argument(help=say("A key path: services.traffic."))] = "", as_json: Json = False
) -> None:
    from aiculturekit.spec import explain as manuals

    manual = manuals.explain(key)
    if as_json:
        outputs.print_json(manual.as_dict())
        return
    shown = outputs.console()
    default = f"  {say('default')} {manual.default}" if manual.default else ""
    required = f"  {say('required')}" if manual.required else ""
    shown.print(f"[bold]{manual.path or 'aic.yaml'}[/bold]  {manual.kind}{default}{required}", markup=True)
    shown.print(f"{manual.description}\n", markup=False)
    if manual.keys:
        outputs.print_table(
            [("key", say("key")), ("text", say("meaning"))], [{"key": k, "text": t} for k, t in manual.keys], empty=""
        )
    shown.print("\n" + manual.example, markup=False)


def schema() -> None:
    from aiculturekit.spec import schema as schemas

    outputs.print_json(schemas.json_schema())


def plan(path: PathArgument = Path(), environment: Environment = None, to: To = None, as_json: Json = False) -> None:
    from aiculturekit.cli import daemons, placements

    if to:
        steps = placements.plan(path, to=to)
    else:
        steps = daemons.ensure().post("plan", {"file": str(choices.file(path)), "environment": environment})
    if as_json:
        outputs.print_json(steps)
        return
    if not steps:
        print(say("nothing would change"))
        return
    signs = {"create": "+", "update": "~", "delete": "-"}
    rows = [
        {**step, "sign": signs[step["action"]], "where": f"{Path(step['file']).name}:{step['line']}"} for step in steps
    ]
    columns = [("sign", ""), ("kind", say("kind")), ("name", say("name")), ("why", say("why")), ("where", say("where"))]
    outputs.print_table(columns, rows, empty="")


def diff(path: PathArgument = Path(), environment: Environment = None, to: To = None, as_json: Json = False) -> None:
    plan(path, environment, to, as_json)
