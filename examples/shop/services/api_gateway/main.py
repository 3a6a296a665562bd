"""The front door: the storefront at /, and /api/* passed on to the services behind it. What changes seldom is kept in a cache."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

STATIC = Path(__file__).parent / "static"
PAGES = {"": "index.html", "shop.css": "shop.css", "shop.js": "shop.js"}
BEHIND = {"orders": "ORDER_SERVICE_URL", "products": "ORDER_SERVICE_URL", "users": "USER_SERVICE_URL"}
FORWARDED = ("content-type", "x-beta", "x-request-id", "traceparent", "tracestate")
RETURNED = ("content-type", "x-version")
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2)
"""An idle connection is let go before its server does (uvicorn: after five seconds), lest a request is sent to one that just closes."""
KEPT = {"products": 10}
"""Path below /api/ -> seconds for which its answer is kept for everybody."""


async def page(request: Request) -> Response:
    name = PAGES.get(request.path_params.get("name", ""))
    return FileResponse(STATIC / name) if name else PlainTextResponse("not found\n", status_code=404)


async def api(request: Request) -> Response:
    """One hop on, with the headers that belong to the request as a whole."""
    path = request.path_params["path"]
    service = BEHIND.get(path.partition("/")[0])
    if service is None:
        return JSONResponse({"error": f"nothing is served at /api/{path}"}, status_code=404)
    if kept := await cached(request.app, path) if request.method == "GET" else None:
        return Response(kept, media_type="application/json", headers={"x-cache": "hit"})
    client: httpx.AsyncClient = request.app.state.client
    try:
        answer = await client.request(
            request.method,
            f"{os.environ[service]}/{path}",
            content=await request.body(),
            headers={name: request.headers[name] for name in FORWARDED if name in request.headers},
        )
    except httpx.HTTPError as error:
        return JSONResponse({"error": f"the service behind did not answer: {type(error).__name__}"}, status_code=502)
    if request.method == "GET" and answer.status_code == 200:
        await keep(request.app, path, answer.content)
    returned = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
    return Response(answer.content, status_code=answer.status_code, headers=returned)


async def cached(app: Starlette, path: str) -> bytes | None:
    """A shop without its cache is slower, not closed."""
    if path in KEPT:
        with contextlib.suppress(redis.RedisError):
            return await app.state.cache.get(path)
    return None


async def keep(app: Starlette, path: str, answer: bytes) -> None:
    if path in KEPT:
        with contextlib.suppress(redis.RedisError):
            await app.state.cache.set(path, answer, ex=KEPT[path])


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    cache = redis.from_url(os.environ["CACHE_URL"], socket_timeout=0.5, socket_connect_timeout=0.5)
    client = httpx.AsyncClient(timeout=10, trust_env=False, limits=LIMITS)
    async with cache as app.state.cache, client as app.state.client:
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/healthz", healthz),
        Route("/api/{path:path}", api, methods=["GET", "POST"]),
        Route("/", page),
        Route("/{name}", page),
    ],
)
