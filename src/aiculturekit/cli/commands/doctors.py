"""doctor: the usual troubles of a machine, each with what to do about it."""

from __future__ import annotations

from typing import Any

from aiculturekit.cli import outputs
from aiculturekit.cli.options import Json
from aiculturekit.language import say

HELP = {"doctor": lambda: say("Look for what is wrong with this machine, and say what to do about it.")}


def commands() -> list[Any]:
    return [doctor]


def doctor(as_json: Json = False) -> int:
    from aiculturekit.cli import checkups

    findings = [finding.as_dict() for finding in checkups.findings()]
    failed = any(finding["state"] == "error" for finding in findings)
    if as_json:
        outputs.print_json(findings)
        return int(failed)
    columns = [("name", say("what")), ("state", say("state")), ("message", say("finding")), ("hint", say("what to do"))]
    outputs.print_table(columns, findings, empty="")
    return int(failed)
