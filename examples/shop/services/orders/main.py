"""Takes orders: POST /orders asks user-service who it is for, has payment-service take the money, and tells notification."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator

import catalogue
import httpx
import store
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

FORWARDED = ("x-beta", "x-request-id", "traceparent", "tracestate")
"""Headers that travel with a request through all services: the canary's, and the trace's."""
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2)
"""An idle connection is let go before its server does (uvicorn: after five seconds), lest a payment is sent to one that just closes."""


class Invalid(Exception):
    """The order can't be taken; the text says why."""


async def place(request: Request) -> Response:
    try:
        user_id, items = await parsed(request)
    except Invalid as error:
        return JSONResponse({"error": str(error)}, status_code=422)
    client: httpx.AsyncClient = request.app.state.client
    headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
    user = await client.get(f"{os.environ['USER_SERVICE_URL']}/users/{user_id}", headers=headers)
    if user.status_code == 404:
        return JSONResponse({"error": f"there is no user {user_id}"}, status_code=404)
    order, total = secrets.token_hex(6), catalogue.total(items)
    paid = await client.post(
        f"{os.environ['PAYMENT_SERVICE_URL']}/payments", json={"order_id": order, "amount": total}, headers=headers
    )
    if user.is_error or paid.is_error:
        return JSONResponse({"error": "the order could not be paid; nothing was charged"}, status_code=502)
    record = {"id": order, "user_id": user_id, "items": items, "total": total, "status": "paid"}
    await store.save(record)
    task = asyncio.create_task(notify(client, order, user.json()["email"], headers))
    request.app.state.later.add(task)
    task.add_done_callback(request.app.state.later.discard)
    return JSONResponse(record, status_code=201, headers={"x-version": paid.headers.get("x-version", "")})


async def notify(client: httpx.AsyncClient, order: str, email: str, headers: dict[str, str]) -> None:
    """The customer's mail must not hold up the order, nor undo it."""
    with contextlib.suppress(httpx.HTTPError):
        body = {"order_id": order, "email": email}
        await client.post(f"{os.environ['NOTIFICATION_URL']}/notifications", json=body, headers=headers)


async def parsed(request: Request) -> tuple[int, list[dict[str, object]]]:
    try:
        body = await request.json()
        user_id, items = body["user_id"], body["items"]
    except (ValueError, KeyError, TypeError):
        raise Invalid('send {"user_id": 1, "items": [{"sku": "tea", "quantity": 2}]}') from None
    if not isinstance(user_id, int) or not isinstance(items, list) or not 1 <= len(items) <= 50:
        raise Invalid("user_id must be a number, items a list of 1 to 50")
    for item in items:
        if not isinstance(item, dict) or item.get("sku") not in catalogue.PRODUCTS:
            raise Invalid(f"there is no such product; there are {', '.join(catalogue.PRODUCTS)}")
        if not isinstance(item.get("quantity"), int) or not 1 <= item["quantity"] <= 1000:
            raise Invalid("quantity must be a number from 1 to 1000")
    return user_id, [{"sku": item["sku"], "quantity": item["quantity"]} for item in items]


async def read(request: Request) -> Response:
    record = await store.find(request.path_params["id"])
    return JSONResponse(record) if record else JSONResponse({"error": "no such order"}, status_code=404)


async def recent(request: Request) -> Response:
    return JSONResponse(await store.recent())


async def products(request: Request) -> Response:
    return JSONResponse([{"sku": sku, **product} for sku, product in catalogue.PRODUCTS.items()])


async def healthz(request: Request) -> Response:
    await store.find("")
    return PlainTextResponse("ok\n")


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.later = set()
    client = httpx.AsyncClient(timeout=10, trust_env=False, limits=LIMITS)
    async with store.POOL, client as app.state.client:
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/orders", place, methods=["POST"]),
        Route("/orders", recent),
        Route("/orders/{id}", read),
        Route("/products", products),
        Route("/healthz", healthz),
    ],
)
