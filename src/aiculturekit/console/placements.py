"""The pages about what runs elsewhere: an application in a cluster, the environments side by side, how delivering goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request

from aiculturekit.console import charts
from aiculturekit.console.answers import Answer
from aiculturekit.errors import Mistake, NotFound
from aiculturekit.language import say

Json = dict[str, Any]
Page = Callable[[Request], Awaitable[tuple[str, Json]]]
DAYS = (7, 30, 90)
SUCCESS_LOW, FAILURE_HIGH = 0.9, 0.15


class Overviews(Protocol):
    """What the pages show; every method answers with plain JSON shapes."""

    async def known(self) -> list[str]: ...

    async def placement(self, key: str) -> Json: ...

    async def releases(self, key: str) -> list[Json]: ...

    async def plan(self, key: str) -> Json: ...

    async def matrix(self) -> list[Json]: ...

    async def differences(self, app: str, one: str, other: str) -> Json: ...


Figures = Callable[[float], Awaitable[Json]]
"""The figures of so many seconds."""
Release = Callable[[str, int], Awaitable[Json]]


class PlacementPages:
    def __init__(self, overviews: Overviews, figures: Figures, release: Release) -> None:
        self._overviews, self._figures, self._release = overviews, figures, release

    def listed(self) -> list[tuple[str, Page]]:
        return [
            ("/placements/{placement}", self.one),
            ("/placements/{placement}/plan", self.plan),
            ("/placements/{placement}/releases/{number}", self.release),
            ("/environments", self.environments),
            ("/environments/{environment}/differences/{other}", self.differences),
            ("/deploys", self.deploys),
        ]

    async def one(self, request: Request) -> tuple[str, Json]:
        view = await self._overviews.placement(request.path_params["placement"])
        return "placement.html", {"view": view, "answer": of_placement(view)}

    async def plan(self, request: Request) -> tuple[str, Json]:
        key = request.path_params["placement"]
        plan = await self._overviews.plan(key)
        return "plan.html", {
            "key": key,
            "environment": key.partition("@")[2],
            "plan": plan,
            "answer": of_plan(key, plan),
        }

    async def release(self, request: Request) -> tuple[str, Json]:
        key, number = request.path_params["placement"], request.path_params["number"]
        if not number.isdigit():
            raise NotFound(say("{app} has no release {number}", app=key, number=number))
        return "release.html", {"place": f"placements/{key}", "release": await self._release(key, int(number))}

    async def environments(self, request: Request) -> tuple[str, Json]:
        found = await self._overviews.matrix()
        return "environments.html", {"applications": found, "answer": of_environments(found)}

    async def differences(self, request: Request) -> tuple[str, Json]:
        app = request.query_params.get("app", "")
        one, other = request.path_params["environment"], request.path_params["other"]
        found = await self._overviews.differences(app, one, other)
        return "differences.html", {"view": found, "answer": of_differences(found)}

    async def deploys(self, request: Request) -> tuple[str, Json]:
        text = request.query_params.get("days", "30")
        if text not in map(str, DAYS):
            raise Mistake(say("{text} is not a length of time", text=repr(text[:20])))
        found = await self._figures(int(text) * 86400.0)
        shown = {"view": found, "days": int(text), "choices": DAYS, "answer": of_deploys(found)}
        return "deploys.html", shown | {"bars": charts.bars(found["days"]), "line": charts.line(found["days"])}


def of_placement(view: Mapping[str, Any]) -> Answer:
    name = str(view["key"])
    if view["trouble"]:
        return Answer("warn", say("{name} can't be seen now", name=name), view["trouble"])
    if view["state"] == "down":
        return Answer(
            "info",
            say("{app} is down", app=name),
            say("`aic deploy --to {environment}` brings it back", environment=view["environment"]),
        )
    unwell = [row for row in view["workloads"] if row["state"] == "failed"]
    starting = [row for row in view["workloads"] if row["state"] == "starting"]
    last = next(iter(view["releases"]), None)
    if unwell or starting:
        row = (unwell or starting)[0]
        told = next((pod["reason"] for pod in view["pods"] if pod["workload"] == row["name"] and pod["reason"]), "")
        detail = f"{row['name']} {row['version']}: {row['reason'] or told or row['state']}"
        kind, headline = ("bad", say("Not everything is well")) if unwell or told else ("info", say("Starting"))
        return Answer(kind, headline, detail, "#pods", say("See the pods"))
    if last and last["state"] == "failed":
        link = f"/placements/{name}/releases/{last['number']}"
        return Answer(
            "warn", say("Serving, the last deploy failed"), say("What it did was undone."), link, say("See what it was")
        )
    return Answer("ok", say("Serving, all is well"), say("{count} workloads ready", count=len(view["workloads"])))


def of_plan(key: str, plan: Mapping[str, Any]) -> Answer:
    if plan["trouble"]:
        return Answer("warn", say("It can't be planned"), plan["trouble"])
    if not plan["steps"]:
        return Answer("ok", say("{name} is what the file says", name=key), say("A deploy would change nothing."))
    return Answer(
        "info",
        say("A deploy would take this many steps: {count}", count=len(plan["steps"])),
        say("Nothing has been touched yet."),
    )


def of_environments(applications: Sequence[Mapping[str, Any]]) -> Answer:
    rows = [row for one in applications for row in one["environments"]]
    for state, kind in (("degraded", "bad"), ("unknown", "warn")):
        for row in rows:
            if row["state"] == state:
                link = f"/placements/{row['key']}" if "@" in row["key"] else f"/apps/{row['key']}"
                what = f"{row['app']}, {row['environment']}: {row['reason']}"
                return Answer(
                    kind, say("One environment needs a look"), what, link, say("Open {name}", name=row["key"])
                )
    serving = [row for row in rows if row["state"] == "serving"]
    if not serving:
        return Answer("info", say("Environments"), say("Nothing runs in any of them."))
    return Answer("ok", say("Environments"), say("{count} serve, all is well", count=len(serving)))


def of_differences(view: Mapping[str, Any]) -> Answer:
    one, other = view["a"]["environment"], view["b"]["environment"]
    headline = say("{one} and {other}", one=one, other=other)
    if view["refusal"]:
        return Answer("info", headline, view["refusal"])
    steps = view["plan"]["steps"]
    if not steps:
        return Answer("ok", headline, say("What runs in {origin} runs in {to}, too.", origin=one, to=other))
    return Answer(
        "info", headline, say("Promoting would take this many steps in {to}: {count}.", count=len(steps), to=other)
    )


def of_deploys(view: Mapping[str, Any]) -> Answer:
    figures = view["figures"]
    success, failing = figures["success_rate"]["value"], figures["change_failure_rate"]["value"]
    if success is None:
        return Answer(
            "info", say("Nothing was deployed in this time"), say("`aic up` and `aic deploy` are written down here.")
        )
    if success < SUCCESS_LOW:
        detail = say("{share} of the deploys succeeded; the others were taken back.", share=f"{success:.0%}")
        return Answer("warn", say("Deploys fail often"), detail, "#latest", say("See which"))
    if failing is not None and failing > FAILURE_HIGH:
        detail = say("{share} of the changes had to be taken back.", share=f"{failing:.0%}")
        return Answer("warn", say("Changes fail often"), detail, "#latest", say("See which"))
    return Answer(
        "ok",
        say("Deploys go well"),
        say("{share} of {count} succeeded.", share=f"{success:.0%}", count=figures["success_rate"]["of"]),
    )
