"""The one sentence with which a page opens: what is the case, and what to look at. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.language import say

ERRORS_TOO_MANY = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """`kind` is ok, info, warn or bad; `link` and `step` lead to what should be looked at."""

    kind: str
    headline: str
    detail: str = ""
    link: str = ""
    step: str = ""


def of_app(
    app: Mapping[str, Any], workloads: Sequence[Mapping[str, Any]], refusals: Sequence[Mapping[str, Any]]
) -> Answer:
    name = app["app"]
    match app["state"]:
        case "down":
            return Answer(
                "info", say("{app} is down", app=name), say("`aic up` brings it back; its data and releases are here")
            )
        case "failed":
            return Answer(
                "bad",
                say("{app} did not come up", app=name),
                say("the last release failed"),
                f"/apps/{name}/releases",
                say("See why"),
            )
        case "starting":
            ready, count = app["ready"], app["workloads"]
            return Answer(
                "info", say("Starting"), say("{ready} of {count} workloads are ready", ready=ready, count=count)
            )
    unwell = [
        row for row in workloads if row["kind"] == "service" and row["state"] not in ("ready", "starting", "scheduled")
    ]
    if unwell:
        row = unwell[0]
        detail = f"{row['name']} {row['version']}: {row['reason'] or row['state']}"
        return Answer(
            "bad",
            say("Not everything is well"),
            detail,
            f"/apps/{name}/workloads/{row['name']}",
            say("Open {name}", name=row["name"]),
        )
    failing = [row for row in workloads if (row["error_rate"] or 0) > ERRORS_TOO_MANY]
    if failing:
        row = max(failing, key=lambda one: one["error_rate"])
        detail = say(
            "{name} {version} fails {share} of its requests",
            name=row["name"],
            version=row["version"],
            share=f"{row['error_rate']:.1%}",
        )
        return Answer(
            "warn",
            say("Serving, one thing to look at"),
            detail,
            f"/apps/{name}/logs?workload={row['name']}",
            say("Show its logs"),
        )
    if refused := [one for one in refusals if not one.get("allowed")]:
        return Answer(
            "warn",
            say("Serving, calls are being refused"),
            refused[0]["message"],
            f"/apps/{name}/traffic",
            say("See what would allow them"),
        )
    return Answer(
        "ok",
        say("Serving, all is well"),
        say("{count} workloads ready", count=len([r for r in workloads if r["kind"] != "resource"])),
    )


def figures(workloads: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The tiles: what enters the application, what of it fails, how slow it is, and what it takes to run."""
    entering = [edge for edge in edges if edge["source"] == "ingress"]
    rate = sum(edge["rate"] for edge in entering)
    failed = sum(edge["rate"] * edge["error_rate"] for edge in entering)
    slow = [edge["p95_ms"] for edge in entering if edge["p95_ms"] is not None]
    memory = [row["memory_bytes"] for row in workloads if row["memory_bytes"]]
    return {
        "rate": rate,
        "error_rate": failed / rate if rate else 0.0,
        "p95_ms": max(slow, default=None),
        "memory_bytes": sum(memory) if memory else None,
    }
