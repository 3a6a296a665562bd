"""The daemon's web application: the API's routes, health, metrics, and one translation of our errors into HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from aiculturekit import errors
from aiculturekit.api import descriptions, metrics
from aiculturekit.api.guards import Unauthorized, only_from_here
from aiculturekit.endpoints import Before, Endpoint, Endpoints, speak_to
from aiculturekit.language import say

Page = Callable[[Request, int, str, str], Any]
_STATUS: tuple[tuple[type[errors.AicError], int], ...] = (
    (Unauthorized, 401),
    (errors.NotFound, 404),
    (errors.Mistake, 422),
    (errors.Busy, 409),
    (errors.Refused, 403),
    (errors.Again, 503),
    (errors.Failed, 500),
)


def application(
    *listed: Endpoints,
    status: Callable[[], Awaitable[dict[str, Any]]],
    edges: Callable[[], list[dict[str, Any]]],
    engines: Callable[[], Awaitable[list[dict[str, Any]]]],
    proxy_metrics: Callable[[], Awaitable[str]],
    page: Page,
    has_proxy: bool = True,
    watched: Before = only_from_here,
) -> Starlette:
    """`page` shows an error to a browser: (request, status code, message, hint) -> response. `has_proxy`: it is ready when Envoy runs, else
    when its state answers. `watched` stands before the metrics."""
    known = [endpoint for endpoints in listed for endpoint in endpoints]
    figures = _metrics(status, edges, engines, proxy_metrics, before=watched)
    groups = [*listed, _health(status, has_proxy=has_proxy), figures, _description(known)]
    routes = [route for endpoints in groups for route in endpoints.routes()]
    return Starlette(routes=routes, exception_handlers=_translations(page))


def _health(status: Callable[[], Awaitable[dict[str, Any]]], *, has_proxy: bool) -> Endpoints:
    routes = Endpoints()

    @routes.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @routes.get("/readyz")
    async def readyz() -> PlainTextResponse:
        proxied = (await status())["envoy"]["pid"] is not None or not has_proxy
        return PlainTextResponse("ok\n" if proxied else "envoy is not running\n", status_code=200 if proxied else 503)

    return routes


def _metrics(
    status: Callable[[], Awaitable[dict[str, Any]]],
    edges: Callable[[], list[dict[str, Any]]],
    engines: Callable[[], Awaitable[list[dict[str, Any]]]],
    proxy_metrics: Callable[[], Awaitable[str]],
    *,
    before: Before,
) -> Endpoints:
    routes = Endpoints(before=before)

    @routes.get("/metrics")
    async def all_metrics() -> PlainTextResponse:
        text = metrics.own(await status()) + metrics.mesh(edges()) + metrics.engines(await engines())
        text += await proxy_metrics()
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _description(known: Iterable[Endpoint]) -> Endpoints:
    routes = Endpoints()

    @routes.get("/openapi.json")
    async def openapi() -> dict[str, Any]:
        return descriptions.document(known)

    return routes


def _translations(page: Page) -> dict[Any, Callable[[Request, Any], Awaitable[Any]]]:
    def answer(request: Request, code: int, error: errors.AicError) -> Any:
        if not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", ""):
            return page(request, code, error.message, error.hint)
        return JSONResponse({"error": error.as_dict()}, status_code=code)

    async def ours(request: Request, error: errors.AicError) -> Any:
        return answer(request, next((code for kind, code in _STATUS if isinstance(error, kind)), 500), error)

    async def missing(request: Request, _error: Exception) -> Any:
        speak_to(request)
        return answer(request, 404, errors.NotFound(say("there is nothing at {path}", path=request.url.path)))

    async def unsuited(request: Request, _error: Exception) -> Any:
        speak_to(request)
        message = say("{path} does not take {method}", path=request.url.path, method=request.method)
        return answer(request, 405, errors.UsageError(message))

    async def bug(request: Request, error: Exception) -> Any:
        speak_to(request)
        message = say("internal error: {error}", error=type(error).__name__)
        return answer(
            request, 500, errors.Failed(message, hint=say("the daemon's log has the details: `aic doctor` names it"))
        )

    return {errors.AicError: ours, 404: missing, 405: unsuited, Exception: bug}
