"""The daemon's web application: the API's routes, health, metrics, and one translation of our errors into HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from aiculturekit import __version__, errors
from aiculturekit.api import metrics
from aiculturekit.api.guards import Unauthorized, refuse_strangers
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
    *routers: APIRouter,
    status: Callable[[], Awaitable[dict[str, Any]]],
    edges: Callable[[], list[dict[str, Any]]],
    proxy_metrics: Callable[[], Awaitable[str]],
    page: Page,
) -> FastAPI:
    """`page` shows an error to a browser: (request, status code, message, hint) -> response."""
    app = FastAPI(title="AICultureKit", version=__version__, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    _health(app, status, edges, proxy_metrics)
    _translate_errors(app, page)
    return app


def _health(
    app: FastAPI,
    status: Callable[[], Awaitable[dict[str, Any]]],
    edges: Callable[[], list[dict[str, Any]]],
    proxy_metrics: Callable[[], Awaitable[str]],
) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> PlainTextResponse:
        proxied = (await status())["envoy"]["pid"] is not None
        return PlainTextResponse("ok\n" if proxied else "envoy is not running\n", status_code=200 if proxied else 503)

    @app.get("/metrics", include_in_schema=False)
    async def all_metrics(request: Request) -> PlainTextResponse:
        refuse_strangers(request)
        text = metrics.own(await status()) + metrics.mesh(edges()) + await proxy_metrics()
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _translate_errors(app: FastAPI, page: Page) -> None:
    def answer(request: Request, code: int, error: errors.AicError) -> Any:
        if not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", ""):
            return page(request, code, error.message, error.hint)
        return JSONResponse({"error": error.as_dict()}, status_code=code)

    @app.exception_handler(errors.AicError)
    async def ours(request: Request, error: errors.AicError) -> Any:
        return answer(request, next((code for kind, code in _STATUS if isinstance(error, kind)), 500), error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Any:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        return answer(request, 422, errors.UsageError(say("the request is malformed: {wrong}", wrong=wrong)))

    @app.exception_handler(404)
    async def missing(request: Request, _error: Exception) -> Any:
        return answer(request, 404, errors.NotFound(say("there is nothing at {path}", path=request.url.path)))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Any:
        message = say("internal error: {error}", error=type(error).__name__)
        return answer(
            request, 500, errors.Failed(message, hint=say("the daemon's log has the details: `aic doctor` names it"))
        )
