"""`aic releases --stats`: the figures of the delivery record, for a shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiculturekit.cli import daemons, outputs, placements
from aiculturekit.errors import UsageError
from aiculturekit.language import say

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def show(app: str | None, *, since: str, as_json: bool) -> None:
    """Of one application, or of all. Raises UsageError for a time that is none."""
    from aiculturekit.control import phrases

    asked = {"since": f"{seconds(since):g}"} | ({"app": placements.named(app)} if app else {})
    found = daemons.ensure().get(f"deploys?{urlencode(asked)}")
    if as_json:
        outputs.print_json(found)
        return
    print(say("{count} deploys since {moment}", count=found["deploys"], moment=found["since"][:10]))
    rows = [
        {"name": one["title"], "value": phrases.figure(one), "of": one["of"] or None, "reason": one["why"]}
        for one in found["figures"].values()
    ]
    columns = [
        ("name", say("figure")),
        ("value>", say("value")),
        ("of>", say("of how many")),
        ("reason", say("reason")),
    ]
    outputs.print_table(columns, rows, empty="")
    print("\n" + say("platforms in use: {count}", count=len(found["platforms"])) + _listed(found["platforms"]))
    used = [{"place": row["place"], **_used(row), "reason": row["why"]} for row in found["utilisation"]]
    columns = [
        ("place", say("where")), ("cpu>", say("CPU")), ("memory>", say("memory")), ("reason", say("reason"))
    ]  # fmt: skip
    if used:
        print("\n" + say("Used of what was asked for"))
        outputs.print_table(columns, used, empty="")


def seconds(text: str) -> float:
    """`30d`, `12h` -> seconds. Raises UsageError."""
    number, unit = text[:-1], text[-1:]
    if unit not in _SECONDS or not number.isdigit() or not int(number):
        raise UsageError(
            say("{text} is not a length of time", text=repr(text[:20])), hint=say("write for example 30d or 12h")
        )
    return float(int(number) * _SECONDS[unit])


def _listed(platforms: list[str]) -> str:
    return f" ({', '.join(platforms)})" if platforms else ""


def _used(row: Mapping[str, Any]) -> dict[str, str]:
    return {"cpu": _part(row["cpu"], cores), "memory": _part(row["memory"], outputs.memory)}


def cores(amount: float | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


def _part(one: Mapping[str, Any], shown: Any) -> str:
    """`12%: 0.12 of 1.00`."""
    used, asked = shown(one["used"]) or say("unknown"), shown(one["requested"]) or say("unknown")
    share = f"{one['ratio']:.0%}: " if one["ratio"] is not None else ""
    return f"{share}{say('{used} of {requested}', used=used, requested=asked)}"
