"""The pages: each asks the views what is the case and renders it. Actions are the pages' scripts calling the public API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from aiculturekit.console import answers, layouts, logins
from aiculturekit.console.placements import Figures, Overviews, PlacementPages
from aiculturekit.console.rendering import render, static_file
from aiculturekit.console.resources import Page as PageOf
from aiculturekit.console.resources import ResourcePages, Resources
from aiculturekit.console.sessions import Sessions
from aiculturekit.endpoints import LANGUAGE_COOKIE, Endpoints, speak_to
from aiculturekit.errors import NotFound
from aiculturekit.language import say

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
Json = dict[str, Any]
Page = Callable[[Request], Awaitable[str]]


class Views(Protocol):
    """What the pages show; every method answers with the API's own shapes."""

    async def status(self) -> Json: ...

    async def apps(self) -> list[Json]: ...

    async def app(self, app: str) -> Json: ...

    async def workload(self, app: str, name: str) -> Json: ...

    async def graph(self, app: str) -> Json: ...

    async def releases(self, app: str) -> list[Json]: ...

    async def release(self, app: str, number: int) -> Json: ...

    async def changes(self, app: str | None, limit: int = 100) -> list[Json]: ...

    async def logs(self, app: str, workload: str | None, tail: int, version: str | None = None) -> list[Json]: ...

    async def targets(self) -> list[Json]: ...


class Flows(Protocol):
    """How the calls flow."""

    async def edges(self, app: str, *, seconds: float | None = None) -> list[Json]: ...

    def ways(self, app: str) -> list[Json]: ...

    async def advice(self, app: str, *, window: float = ...) -> Json: ...


def router(
    views: Views,
    *,
    sessions: Sessions,
    refusals: Callable[[str | None], list[Json]],
    flows: Flows,
    identities: Callable[[], list[Json]] = list,
    delivery: Callable[[str], Awaitable[Json | None]],
    resources: Resources,
    overviews: Overviews,
    figures: Figures,
    password: str = "",
) -> Endpoints:
    """The console under /. Without a session every page says how to start one, or asks for the password where there is one."""
    routes = Endpoints()
    _doors(routes, sessions)
    if password:
        logins.add(routes, sessions, password=password, page=_login)
    else:
        _links(routes, sessions)
    further = [
        *ResourcePages(resources, views.app).listed(),
        *PlacementPages(overviews, figures, views.release).listed(),
    ]
    pages = _Pages(views, sessions, refusals, flows, identities, delivery, overviews.known, is_seated=bool(password))
    pages.add_to(routes, further)
    return routes


def _doors(routes: Endpoints, sessions: Sessions) -> None:
    @routes.get("/static/{name}")
    async def static(name: str) -> Response:
        found = static_file(name)
        if found is None:
            raise NotFound(say("there is nothing at {path}", path=f"/static/{name}"))
        return Response(found[0], media_type=found[1], headers={"cache-control": "public, max-age=31536000, immutable"})

    @routes.get("/language/{name}")
    async def choose(name: str, back: str = "/") -> Response:
        answer = RedirectResponse(logins.place(back), 303)
        answer.set_cookie(LANGUAGE_COOKIE, "zh" if name == "zh" else "en", max_age=10**8, samesite="lax")
        return answer


def _links(routes: Endpoints, sessions: Sessions) -> None:
    @routes.get("/login")
    async def login(request: Request, code: str = "", next: str = "/") -> Response:
        speak_to(request)
        secret = sessions.redeem(code)
        if secret is None:
            message, hint = say("This link was used already, or is too old."), say("`aic open` makes a new one.")
            return error_page(request, 401, message, hint)
        return logins.entered(request, secret, to=next)


class _Pages:
    """One method a page; each answers with the template's name and what it shows. `is_seated`: the daemon sits in a cluster, behind a login
    and with nothing beside itself."""

    def __init__(
        self,
        views: Views,
        sessions: Sessions,
        refusals: Callable[[str | None], list[Json]],
        flows: Flows,
        identities: Callable[[], list[Json]],
        delivery: Callable[[str], Awaitable[Json | None]],
        placements: Callable[[], Awaitable[list[str]]],
        *,
        is_seated: bool,
    ) -> None:
        self._is_seated = is_seated
        self._views, self._sessions, self._refusals, self._flows = views, sessions, refusals, flows
        self._identities = identities
        self._delivery, self._placements = delivery, placements

    def add_to(self, routes: Endpoints, further: Sequence[tuple[str, PageOf]] = ()) -> None:
        for path, page in (
            ("/", self.home),
            ("/apps/{app}", self.app),
            ("/apps/{app}/traffic", self.traffic),
            ("/apps/{app}/workloads/{name}", self.workload),
            ("/apps/{app}/logs", self.logs),
            ("/apps/{app}/releases", self.releases),
            ("/apps/{app}/releases/{number}", self.release),
            ("/apps/{app}/topology", self.topology),
            ("/platform", self.platform),
            *further,
        ):
            routes.get(path)(self._served(page))

    def _served(
        self, page: Callable[[Request], Awaitable[tuple[str, Json]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            speak_to(request)
            if not self._sessions.is_authentic(request) and self._is_seated:
                return RedirectResponse(f"/login?next={quote(request.url.path, safe='')}", 303)
            if not self._sessions.is_authentic(request):
                message, hint = say("The console needs a login link."), say("`aic open` makes one and opens it.")
                return error_page(request, 401, message, hint)
            template, values = await page(request)
            if template == "redirect":
                return RedirectResponse(values["to"], 303)
            return HTMLResponse(render(template, **await self._frame(request), **values), headers=HEADERS)

        return serve

    async def _frame(self, request: Request) -> Json:
        """What every page has around it."""
        query = f"?{request.url.query}" if request.url.query else ""
        return {
            "apps": await self._views.apps(),
            "current": request.path_params.get("app"),
            "placements": await self._placements(),
            "placement": request.path_params.get("placement"),
            "path": request.url.path,
            "back": quote(request.url.path + query, safe=""),
            "csrf": self._sessions.csrf(request),
            "is_seated": self._is_seated,
        }

    async def home(self, request: Request) -> tuple[str, Json]:
        if self._is_seated:
            return "seated.html", {"places": await self._places(), "changes": await self._views.changes(None, 12)}
        apps = await self._views.apps()
        up = [app for app in apps if app["state"] != "down"]
        if len(up) == 1 and len(apps) == 1:
            return "redirect", {"to": f"/apps/{up[0]['app']}"}
        return "applications.html", {"changes": await self._views.changes(None, 12)}

    async def app(self, request: Request) -> tuple[str, Json]:
        app = request.path_params["app"]
        view, graph = await self._views.app(app), await self._views.graph(app)
        workloads, refusals = await self._workloads(app), self._refusals(app)
        return "application.html", {
            "app": view,
            "drawing": layouts.drawing(graph),
            "workloads": workloads,
            "tiles": answers.figures(workloads, graph["edges"]),
            "answer": answers.of_app(view, workloads, refusals),
            "delivery": await self._delivery(app),
            "changes": await self._views.changes(app, 12),
            "refusals": refusals,
        }

    async def topology(self, request: Request) -> tuple[str, Json]:
        app = request.path_params["app"]
        return "topology.html", {"drawing": layouts.drawing(await self._views.graph(app)), "app": {"app": app}}

    async def traffic(self, request: Request) -> tuple[str, Json]:
        app = request.path_params["app"]
        view, graph = await self._views.app(app), await self._views.graph(app)
        names = dict.fromkeys(row["name"] for row in await self._workloads(app) if row["kind"] == "service")
        details = [await self._views.workload(app, name) for name in names]
        ways = self._flows.ways(app)
        return "traffic.html", {
            "app": view,
            "services": details,
            "edges": graph["edges"],
            "refusals": self._refusals(app),
            "shares": answers.shares(await self._flows.edges(app, seconds=60)),
            "advice": await self._flows.advice(app),
            "ways": ways,
            "answer": answers.of_traffic(app, [*details, *ways], graph["edges"], self._refusals(app)),
            "delivery": await self._delivery(app),
        }

    async def workload(self, request: Request) -> tuple[str, Json]:
        app, name = request.path_params["app"], request.path_params["name"]
        view = await self._views.workload(app, name)
        return "workload.html", {"app": {"app": app}, "view": view, "lines": await self._views.logs(app, name, 100)}

    async def logs(self, request: Request) -> tuple[str, Json]:
        app, chosen = request.path_params["app"], request.query_params.get("workload") or None
        names = dict.fromkeys(row["name"] for row in await self._workloads(app) if row["kind"] != "resource")
        await self._views.app(app)
        lines = await self._views.logs(app, chosen, 300)
        return "logs.html", {"app": {"app": app}, "names": list(names), "chosen": chosen, "lines": lines}

    async def releases(self, request: Request) -> tuple[str, Json]:
        app = request.path_params["app"]
        return "releases.html", {"app": await self._views.app(app), "releases": await self._views.releases(app)}

    async def release(self, request: Request) -> tuple[str, Json]:
        app, number = request.path_params["app"], request.path_params["number"]
        if not number.isdigit():
            raise NotFound(say("{app} has no release {number}", app=app, number=number))
        return "release.html", {"place": f"apps/{app}", "release": await self._views.release(app, int(number))}

    async def platform(self, request: Request) -> tuple[str, Json]:
        return "platform.html", {
            "status": await self._views.status(),
            "targets": await self._views.targets(),
            "identities": self._identities(),
            "changes": await self._views.changes(None, 20),
        }

    async def _places(self) -> list[Json]:
        """Of each placement its last release. The cluster is not asked: a start page must not wait for it."""
        return [{"key": key, "last": (await self._views.releases(key))[0]} for key in await self._placements()]

    async def _workloads(self, app: str) -> list[Json]:
        return [row for row in (await self._views.status())["workloads"] if row["app"] == app]


def error_page(request: Request, code: int, message: str, hint: str) -> Response:
    """An error in the console's own look."""
    speak_to(request)
    values = {"code": code, "message": message, "hint": hint, "back": quote(request.url.path, safe="")}
    return HTMLResponse(render("message.html", **values), status_code=code, headers=HEADERS)


def _login(request: Request, code: int, trouble: str, to: str) -> Response:
    speak_to(request)
    back = quote(f"/login?next={quote(to, safe='')}", safe="")
    values = {"trouble": trouble, "to": to, "back": back}
    return HTMLResponse(render("login.html", **values), status_code=code, headers=HEADERS)
