"""A plan as records that people and scripts read: each step with the line of the file that it comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.language import say
from aiculturekit.plan.steps import Step
from aiculturekit.spec.models import Application


def described(application: Application, steps: Sequence[Step]) -> list[dict[str, Any]]:
    return located(application, [step.as_dict() for step in steps])


def located(application: Application, steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Steps as a journal keeps them."""
    return [_described(application, step) for step in steps]


def _described(application: Application, step: Mapping[str, Any]) -> dict[str, Any]:
    line, column = application.place(step["path"])
    return {
        **step,
        "file": str(application.file),
        "line": line,
        "column": column,
        "message": _message(step),
        "hint": step["why"],
    }


def _message(step: Mapping[str, Any]) -> str:
    kind, name = step["kind"], step["name"]
    match step["action"]:
        case "create":
            return say("create {kind} {name}", kind=kind, name=name)
        case "update":
            return say("update {kind} {name}", kind=kind, name=name)
    return say("delete {kind} {name}", kind=kind, name=name)
