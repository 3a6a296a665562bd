"""A plan as records that people and scripts read: each step with the line of the file that it comes from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiculturekit.language import say
from aiculturekit.plan.steps import Step
from aiculturekit.spec.models import Application


def described(application: Application, steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [_described(application, step) for step in steps]


def _described(application: Application, step: Step) -> dict[str, Any]:
    line, column = application.place(step.path)
    return step.as_dict() | {
        "file": str(application.file),
        "line": line,
        "column": column,
        "message": _message(step),
        "hint": step.why,
    }


def _message(step: Step) -> str:
    kind, name = step.document.key
    match step.action:
        case "create":
            return say("create {kind} {name}", kind=kind, name=name)
        case "update":
            return say("update {kind} {name}", kind=kind, name=name)
    return say("delete {kind} {name}", kind=kind, name=name)
