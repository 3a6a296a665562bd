"""Takes the money: POST /payments {"order_id", "amount"}. Version 1 takes its time, as payment providers do."""

import asyncio
import os
import secrets

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

VERSION = "v1"
SECONDS = float(os.environ.get("PAYMENT_SECONDS", "0.004"))


async def pay(request: Request) -> Response:
    wanted = await request.json()
    if not isinstance(wanted.get("amount"), int) or wanted["amount"] <= 0:
        return JSONResponse({"error": "amount must be a positive number of cents"}, status_code=422)
    await asyncio.sleep(SECONDS)
    answer = {"id": secrets.token_hex(8), "status": "paid", "amount": wanted["amount"]}
    return JSONResponse(answer, status_code=201, headers={"x-version": VERSION})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


app = Starlette(routes=[Route("/payments", pay, methods=["POST"]), Route("/healthz", healthz)])
