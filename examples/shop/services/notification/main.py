"""Tells the customer: POST /notifications writes a line to the log, where a mail server would stand."""

import json
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def notify(request: Request) -> Response:
    wanted = await request.json()
    line = {
        "time": time.time(),
        "level": "info",
        "message": f"order {wanted['order_id']} confirmed",
        "to": wanted.get("email"),
    }
    print(json.dumps(line), flush=True)
    return Response(status_code=202)


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


app = Starlette(routes=[Route("/notifications", notify, methods=["POST"]), Route("/healthz", healthz)])
