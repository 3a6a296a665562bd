"""mesh identities, bundle, rotate-root: who the workloads are and whom they trust."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from aiculturekit.cli import daemons, outputs
from aiculturekit.cli.options import Json
from aiculturekit.language import say


def add_to(app: typer.Typer) -> None:
    """The commands of `aic mesh` about trust."""
    app.command("identities", help=say("Show every workload's certificate."))(identities)
    app.command("bundle", help=say("Print the trust bundle, by which others verify this node's workloads."))(bundle)
    app.command("rotate-root", help=say("Begin to replace the root certificate; no call fails meanwhile."))(rotate_root)

    federate = typer.Typer(help=say("Other nodes' trust domains: add, list, remove."), rich_markup_mode=None)
    federate.command("add", help=say("Trust another node's workloads, by its trust bundle."))(federate_add)
    federate.command("list", help=say("Show which trust domains are federated."))(federate_list)
    federate.command("remove", help=say("Trust a domain no more, at once."))(federate_remove)
    app.add_typer(federate, name="federate")


def identities(as_json: Json = False) -> None:
    client = daemons.ensure()
    rows = client.get("mesh/identities")
    if as_json:
        outputs.print_json(rows)
        return
    shown = [
        {
            "id": row["id"],
            "serial": row["serial"][:16],
            "issued": _moment(row["issued_at"]),
            "left": left(row["ends_at"]),
        }
        for row in rows
    ]
    columns = [("id", say("identity")), ("serial", say("serial")), ("issued", say("issued")), ("left>", say("ends in"))]
    outputs.print_table(columns, shown, empty=say("nobody has a certificate yet: `aic up` brings an application up"))


def bundle(
    format: Annotated[
        Literal["pem", "spiffe"], typer.Option("--format", help=say("PEM certificates, or SPIFFE's JSON document."))
    ] = "spiffe",
) -> None:
    from aiculturekit.mesh import bundles

    document = daemons.ensure().get("mesh/bundle")
    if format == "pem":
        print(bundles.pem(document), end="")
    else:
        outputs.print_json(document)


def rotate_root(as_json: Json = False) -> None:
    rows = daemons.ensure().post("mesh/roots")
    if as_json:
        outputs.print_json(rows)
        return
    shown = [
        {
            "serial": row["serial"][:16],
            "state": _state(row["state"]),
            "signs": _moment(row["signs_at"]),
            "ends": _moment(row["ends_at"]),
        }
        for row in rows
    ]
    columns = [
        ("serial", say("serial")), ("state", say("state")), ("signs", say("signs from")), ("ends", say("ends")),
    ]  # fmt: skip
    outputs.print_table(columns, shown, empty="")


Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help=say("The other node's trust domain."))]


def federate_add(
    domain: Domain,
    bundle: Annotated[str, typer.Option("--bundle", help=say("Its trust bundle: a file, or an https address."))],
    address: Annotated[str, typer.Option("--address", help=say("Where its gateway is, HOST:PORT."))] = "",
    as_json: Json = False,
) -> None:
    source = bundle if "://" in bundle else str(Path(bundle).expanduser().absolute())
    body = {"domain": domain, "bundle": source, "address": address}
    _show_federation(daemons.ensure().post("mesh/federation", body), as_json=as_json)


def federate_list(as_json: Json = False) -> None:
    _show_federation(daemons.ensure().get("mesh/federation"), as_json=as_json)


def federate_remove(domain: Domain, as_json: Json = False) -> None:
    _show_federation(daemons.ensure().delete(f"mesh/federation/{quote(domain, safe='')}"), as_json=as_json)


def _show_federation(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        outputs.print_json(rows)
        return
    columns = [
        ("domain", say("trust domain")), ("address", say("gateway")), ("source", say("bundle")), ("roots>", say("roots")),
        ("read", say("read")), ("why", say("trouble")),
    ]  # fmt: skip
    shown = [{**row, "read": _moment(row["read_at"]), "why": row["trouble"]} for row in rows]
    outputs.print_table(columns, shown, empty=say("no other trust domain is trusted here"))


def left(ends_at: str) -> str:
    """Minutes until an ISO time; "0 min" for one that is over."""
    seconds = (datetime.fromisoformat(ends_at) - datetime.now(UTC)).total_seconds()
    return say("{minutes} min", minutes=max(0, round(seconds / 60)))


def _state(word: str) -> str:
    return {"signs": say("signs"), "prepared": say("prepared"), "leaving": say("leaving")}[word]


def _moment(iso: str) -> str:
    return iso[:19].replace("T", " ") + "Z"
