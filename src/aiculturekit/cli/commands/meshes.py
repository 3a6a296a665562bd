"""mesh edges, mesh advise, mesh matrix: what the mesh sees, what could be better about `needs`, what works where."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, outputs
from aiculturekit.cli.clients import Client
from aiculturekit.cli.commands import trusts
from aiculturekit.cli.options import AppArgument, Json
from aiculturekit.errors import UsageError
from aiculturekit.language import say

Window = Annotated[str, typer.Option("--window", help=say("Over which time: 30s, 5m, 1h, 7d."))]


def group() -> Any:
    app = typer.Typer(help=say("The mesh: who calls whom, how well, and by which rules."), rich_markup_mode=None)
    app.command("edges", help=say("Show every caller and the version it calls, with live figures."))(edges)
    app.command("matrix", help=say("Show which rule works on which mesh, and why not."))(matrix)
    app.command("advise", help=say("Compare `needs` with what was really called."))(advise)
    trusts.add_to(app)
    return app


def edges(
    app: AppArgument = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help=say("Show it anew every two seconds, until Ctrl-C."))] = False,
    window: Window = "10s",
) -> None:
    client = Client.of_home()
    name, seconds = choices.app(client, app), min(900.0, _seconds(window))

    def now() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = client.get(f"apps/{name}/edges", window=seconds)
        return listed

    if as_json:
        outputs.print_json(now())
    elif watch:
        _follow(lambda: outputs.table(_columns(), map(_row, now())))
    else:
        outputs.print_table(_columns(), map(_row, now()), empty=say("nothing may call anything in {app}", app=name))


def advise(app: AppArgument = None, window: Window = "1h", as_json: Json = False) -> None:
    client = Client.of_home()
    found = client.get(f"apps/{choices.app(client, app)}/advice", window=_seconds(window))
    if as_json:
        outputs.print_json(found)
        return
    print(_opening(found, window))
    for one in found["findings"]:
        place = f"{one['file']}:{one['line']}: " if one["line"] else ""
        times = f" ({say('{count} times', count=one['count'])})" if one["count"] else ""
        print(f"\n{place}{one['message']}{times}\n    {one['hint']}")


def matrix(
    why: Annotated[bool, typer.Option("--why", help=say("With the reasons."))] = False, as_json: Json = False
) -> None:
    """Needs no daemon: the renderers themselves are asked."""
    from aiculturekit.control import renderings

    rows = renderings.matrix()
    if as_json:
        outputs.print_json(
            [
                {
                    "feature": row[0].feature,
                    "meshes": {one.mesh: {"yes": one.is_supported, "reason": one.reason} for one in row},
                }
                for row in rows
            ]
        )
        return
    columns = [("feature", say("rule")), *((one.mesh, one.mesh) for one in rows[0])]
    shown = [
        {"feature": row[0].feature, **{one.mesh: say("yes") if one.is_supported else say("no") for one in row}}
        for row in rows
    ]
    outputs.print_table(columns, shown, empty="")
    if not why:
        print()
        print(say("reasons: `aic mesh matrix --why`"))
        return
    print()
    for row in rows:
        for one in row:
            if not one.is_supported:
                print(f"{one.feature}, {one.mesh}: {one.reason}")


def _opening(found: Mapping[str, Any], window: str) -> str:
    """The sentence before the findings: for how long anybody watched, and what that allows to be said."""
    if found["since"] is None:
        return say("{app}: no workload needs another; there is nothing to compare", app=found["app"])
    since = found["since"][:16].replace("T", " ") + "Z"
    if found["watched_s"] < found["window_s"]:
        return say(
            "{app}: watched since {since}, which is less than {window}: no need is called unused yet",
            app=found["app"],
            since=since,
            window=window,
        )
    if not found["findings"]:
        return say(
            "{app}: in the last {window} every need was used, and nothing was refused", app=found["app"], window=window
        )
    return say("{app}: in the last {window}, watched since {since}:", app=found["app"], window=window, since=since)


def _seconds(window: str) -> float:
    from aiculturekit.spec import units

    try:
        return units.duration(window)
    except ValueError as error:
        raise UsageError(f"--window: {error}") from None


def _follow(shown: Any) -> None:
    from rich.live import Live

    try:
        with Live(shown(), auto_refresh=False) as live:
            while True:
                time.sleep(2)
                live.update(shown(), refresh=True)
    except KeyboardInterrupt:
        return


def _columns() -> list[tuple[str, str]]:
    return [
        ("source", say("caller")),
        ("called", say("called")),
        ("rate>", say("req/s")),
        ("errors>", say("errors")),
        ("times>", "p50 / p95 / p99"),
        ("tls", "mTLS"),
        ("reason", say("to look at")),
    ]


def _row(edge: Mapping[str, Any]) -> dict[str, Any]:
    """A tcp edge has no answers to time: its bytes stand there."""
    is_http = bool(edge["version"])
    return {
        "source": edge["source"],
        "called": f"{edge['target']} {edge['version']}" if is_http else f"{edge['target']} (tcp)",
        "rate": edge["rate"],
        "errors": f"{edge['error_rate']:.2%}",
        "times": _times(edge) if is_http else _bytes(edge),
        "tls": _tls(edge["tls"]),
        "reason": _troubles(edge),
    }


def _bytes(edge: Mapping[str, Any]) -> str:
    passed = f"{(edge['received_rate'] + edge['sent_rate']) / 1000:,.1f} kB/s"
    taken = edge["connect_p95_ms"]
    return passed if taken is None else f"{passed}, {say('made in')} {taken:.1f} ms"


def _tls(found: str) -> str:
    """One hop has no second identity to shake hands with: the caller's own door stands for it."""
    words = {
        "proven": say("verified"),
        "failing": say("failing"),
        "unused": say("not used yet"),
        "none": say("one hop"),
    }
    return words[found]


def _troubles(edge: Mapping[str, Any]) -> str:
    from aiculturekit.control import phrases

    return ", ".join(phrases.troubles(edge))


def _times(edge: Mapping[str, Any]) -> str | None:
    listed = [edge[f"{name}_ms"] for name in ("p50", "p95", "p99")]
    if None in listed:
        return None
    return " / ".join(f"{value:,.1f}" if value < 10 else f"{value:,.0f}" for value in listed) + " ms"
