"""The next payment service: remembers what it has taken, so that a repeated order is paid once."""

from collections import OrderedDict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

KEPT = 10_000
taken: OrderedDict[str, dict[str, Any]] = OrderedDict()


async def pay(request: Request) -> Response:
    wanted = await request.json()
    amount, order = wanted.get("amount"), str(wanted.get("order_id", ""))
    if not isinstance(amount, int) or amount <= 0:
        return JSONResponse({"error": "amount must be a positive number of cents"}, status_code=422)
    if order not in taken:
        taken[order] = {"id": f"{order}-2", "status": "paid", "amount": amount}
        while len(taken) > KEPT:
            taken.popitem(last=False)
    return JSONResponse(taken[order], status_code=201, headers={"x-version": "v2"})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


app = Starlette(routes=[Route("/payments", pay, methods=["POST"]), Route("/healthz", healthz)])
