"""Applications in clusters from a shell: APP@ENVIRONMENT, and what of the caller's own goes along with a request."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiculturekit.cli import choices, clients, daemons, following, outputs
from aiculturekit.cli.clients import Client
from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

Json = dict[str, Any]
_VARIABLE = re.compile(r"\$\{env\.([A-Za-z_]\w*)|secret:env/([A-Za-z_]\w*)")


def is_one(name: str | None) -> bool:
    """Whether the name is of an application in a cluster: APP@ENVIRONMENT, or @ENVIRONMENT for the application of ./aic.yaml."""
    return "@" in (name or "")


def named(name: str) -> str:
    """In full."""
    return f"{choices.app_here() or ''}{name}" if name.startswith("@") else name


def kubeconfig() -> str:
    """The caller's $KUBECONFIG: the daemon has an environment and a working directory of its own."""
    parts = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return os.pathsep.join(str(Path(part).expanduser().absolute()) for part in parts)


def variables(file: Path) -> dict[str, str]:
    """Those of the caller's shell that the file names: the daemon has an environment of its own."""
    found = _VARIABLE.findall(file.read_text("utf-8", "replace")) if file.is_file() else []
    return {name: os.environ[name] for one in found for name in one if name in os.environ}


def query() -> dict[str, str]:
    """What a request about a placement carries."""
    if Client.of_server():
        return {}  # it has its own way into its cluster, and none to this machine's files
    here = Path(choices.SPEC_FILE)
    found = {"kubeconfig": kubeconfig(), "file": str(here.absolute()) if here.is_file() else ""}
    return {key: value for key, value in found.items() if value}


def path(name: str, rest: str = "", **more: str) -> str:
    asked = urlencode({**query(), **more})
    return f"placements/{named(name)}{rest}" + (f"?{asked}" if asked else "")


def deploy(file: Path, *, to: str, reason: str, force_conflicts: bool, detach: bool, as_json: bool) -> None:
    client = daemons.ensure()
    more = {"reason": reason, "force_conflicts": force_conflicts}
    if client.is_far:
        body = _packed(file, to, is_pushed=True, is_quiet=as_json) | more
        operation = client.post("placements/documents", body)
    else:
        place = choices.file(file)
        body = {"file": str(place), "environment": to, "kubeconfig": kubeconfig(), "variables": variables(place)} | more
        operation = client.post("placements", body)
    if not detach:
        operation = following.follow(client, operation, quiet=as_json)
    if as_json:
        outputs.print_json(operation)
    elif detach:
        print(say("the daemon carries it on: `aic releases {app}`", app=operation["app"]))
    else:
        print(say("{app}: release {release}", app=operation["app"], release=operation["release"]))


def _packed(file: Path, to: str, *, is_pushed: bool, is_quiet: bool) -> Json:
    """What a daemon that is elsewhere can't see for itself."""
    import asyncio

    from aiculturekit.control import parcels

    def told(kind: str, payload: Mapping[str, Any]) -> None:
        if not is_quiet:
            following.show(kind, payload)

    work = parcels.packed(
        choices.file(file), environment=to, store=clients.home() / "images", is_pushed=is_pushed, emit=told
    )
    return asyncio.run(work)


def _foreseen(client: Client, file: Path, to: str) -> list[Json]:
    import asyncio

    from aiculturekit.control import parcels

    steps = client.post("placements/documents/plan", _packed(file, to, is_pushed=False, is_quiet=True))
    return asyncio.run(parcels.located(choices.file(file), environment=to, steps=steps))


def plan(file: Path, *, to: str) -> list[Json]:
    client = daemons.ensure()
    if client.is_far:
        return _foreseen(client, file, to)
    place = choices.file(file)
    body = {"file": str(place), "environment": to, "kubeconfig": kubeconfig(), "variables": variables(place)}
    found: list[Json] = client.post("placements/plan", body)
    return found


def down(name: str, *, volumes: bool, yes: bool, as_json: bool) -> None:
    client = daemons.ensure()
    if volumes:
        choices.confirm(say("erase the data of {app} for good?", app=named(name)), yes=yes)
    more = {"volumes": "true"} if volumes else {}
    ended = following.follow(client, client.delete(path(name, **more)), quiet=as_json)
    outputs.print_json(ended) if as_json else print(say("down: {apps}", apps=named(name)))


def change(name: str, rest: str, body: Mapping[str, Any], *, as_json: bool) -> Json:
    client = daemons.ensure()
    return following.follow(client, client.post(path(name, rest), dict(body)), quiet=as_json)


def show(name: str, *, as_json: bool) -> None:
    rows = daemons.ensure().get(path(name, "/workloads"))
    if as_json:
        outputs.print_json(rows)
        return
    listed = [{**row, "ready": f"{row['ready']}/{row['replicas']}", "pods": len(row["pods"])} for row in rows]
    columns = [
        ("name", say("workload")), ("kind", say("kind")), ("version", say("version")), ("state", say("state")), ("ready>", say("ready")),
        ("restarts>", say("restarts")), ("reason", say("reason")),
    ]  # fmt: skip
    outputs.print_table(columns, listed, empty=say("nothing of {app} runs there", app=named(name)))


def kubectl(name: str, words: Sequence[str]) -> list[str]:
    """kubectl's command for the placement. Raises HostTrouble where there is no kubectl."""
    program = shutil.which("kubectl")
    if program is None:
        raise HostTrouble(
            say("exec and forward need kubectl, which is not on the PATH"),
            hint="https://kubernetes.io/docs/tasks/tools/",
        )
    place = daemons.ensure().get(path(name))
    os.environ["KUBECONFIG"] = os.pathsep.join(place["kubeconfig"]) or os.environ.get("KUBECONFIG", "")
    context = ["--context", place["context"]] if place["context"] else []
    return [program, *context, "--namespace", place["namespace"], *words]


def become(name: str, words: Sequence[str]) -> None:
    """This process becomes kubectl, so its exit code and its signals are the command's own."""
    command = kubectl(name, words)
    os.execv(command[0], command)  # noqa: S606


def visit(name: str, *, only_print: bool, as_json: bool) -> int:
    """A port of this machine leads to the application's public path until it is interrupted; kubectl's exit code."""
    entry = daemons.ensure().get(path(name, "/entry"))
    command = kubectl(name, ["port-forward", f"service/{entry['service']}", f":{entry['port']}"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            _show_entry(process.stdout.readline() if process.stdout else "", entry, only_print, as_json)
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
    return 0


def _show_entry(said: str, entry: Mapping[str, Any], only_print: bool, as_json: bool) -> None:
    """kubectl says `Forwarding from 127.0.0.1:PORT -> 8080`, or nothing and then why."""
    place = next((word for word in said.split() if word.startswith("127.0.0.1:")), "")
    if not place:
        return
    url = f"http://{place}{entry['path']}"
    outputs.print_json({"url": url}) if as_json else print(say("{url}  (Ctrl-C ends it)", url=url), flush=True)
    if not only_print and sys.stdout.isatty():
        import webbrowser  # heavy: only where one is opened

        webbrowser.open(url)


def object_of(client: Client, name: str, workload: str) -> str:
    """`Deployment/web-v1`: what kubectl chooses a pod of. The newest version where there are several."""
    rows = [row for row in client.get(path(name, "/workloads")) if row["name"] == workload]
    if not rows:
        raise HostTrouble(
            say("no pod of {workload} runs", workload=f"{named(name)}/{workload}"),
            hint=say("`aic ps {app}` shows what runs", app=named(name)),
        )
    ready = [row for row in rows if row["ready"]] or rows
    return str(ready[-1]["object"]).lower()
