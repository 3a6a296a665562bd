"""The one sentence with which a page opens: what is the case, and what to look at. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.control import phrases
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


def of_traffic(
    app: str, services: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], refusals: Sequence[Any]
) -> Answer:
    """What the traffic page opens with: failures made on purpose first, then what is not let through, then how it is split. Among the
    `services` are the resources with rules of their own."""
    faults = [(service["name"], fault) for service in services for fault in service["faults"]]
    if faults:
        name, fault = faults[0]
        return Answer(
            "warn", say("Failures are made on purpose"), f"{name}: {fault}", f"#rules-{name}", say("See the rules")
        )
    held = [edge for edge in edges if edge["breaker_open"] or edge["ejected"]]
    if held:
        edge = max(held, key=lambda one: (one["breaker_open"], one["ejected"]))
        detail = f"{edge['source']} → {edge['target']}: {', '.join(phrases.troubles(edge))}"
        return Answer("warn", say("A breaker holds calls back"), detail, "#calls", say("See the calls"))
    failing = [edge for edge in edges if edge["error_rate"] > ERRORS_TOO_MANY]
    if failing:
        deepest = _deepest(failing)
        detail = say(
            "{share} of the calls from {source} to {target} fail",
            share=f"{deepest['error_rate']:.1%}",
            source=deepest["source"],
            target=deepest["target"],
        )
        link = f"/apps/{app}/logs?workload={deepest['target'].partition('/')[0]}"
        return Answer("warn", say("Calls fail"), detail, link, say("Show its logs"))
    refused = [one for one in refusals if not one.get("allowed")]
    if refused:
        detail = say("{count} calls are refused: nothing in the file allows them.", count=len(refused))
        return Answer("warn", say("Traffic"), detail, "#refused", say("See what would allow them"))
    split = [service["name"] for service in services if len(service.get("versions", ())) > 1]
    if split:
        return Answer("ok", say("Traffic"), say("{name} is split between versions.", name=", ".join(split)))
    return Answer("ok", say("Traffic"), say("Every service has one version, and every call is allowed."))


def _deepest(failing: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Who calls a failing service fails with it: the one whose target calls nothing that fails is where it begins."""
    sources = {edge["source"] for edge in failing}
    innermost = [edge for edge in failing if edge["target"].partition("/")[0] not in sources] or failing
    return max(innermost, key=lambda edge: edge["error_rate"])


def shares(edges: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """(service, version) -> its share of the service's requests; nothing for a service that was not called."""
    rates: dict[tuple[str, str], float] = {}
    for edge in edges:
        key = (edge["target"], edge["version"])
        rates[key] = rates.get(key, 0.0) + edge["rate"]
    totals: dict[str, float] = {}
    for (service, _), rate in rates.items():
        totals[service] = totals.get(service, 0.0) + rate
    return {key: rate / totals[key[0]] for key, rate in rates.items() if totals[key[0]] > 0}


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
