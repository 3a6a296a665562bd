"""The routes of /api/v1/mesh: identities, roots, the trust bundle."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from aiculturekit.api.routes import Authorize
from aiculturekit.control import trusts
from aiculturekit.mesh import bundles
from aiculturekit.mesh.trusts import Trust

Json = dict[str, Any]


def router(trust: Trust, *, authorize: Authorize) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/mesh", dependencies=[Depends(authorize)])

    @routes.get("/identities", summary="Every workload's certificate: who, serial, from when to when")
    async def identities() -> list[Json]:
        return trusts.identities(trust)

    @routes.get("/roots", summary="The roots in the trust bundle, and which of them signs")
    async def roots() -> list[Json]:
        return trusts.roots(trust)

    @routes.post("/roots", summary="Begin to replace the root; nothing where one follows another already")
    async def rotate() -> list[Json]:
        await trust.rotate()
        return trusts.roots(trust)

    @routes.get("/bundle", summary="The trust bundle, as SPIFFE publishes it or as PEM; it holds no secret")
    async def bundle(format: Literal["spiffe", "pem"] = "spiffe") -> Response:
        document = await trust.bundle()
        if format == "pem":
            return PlainTextResponse(bundles.pem(document), media_type="application/x-pem-file")
        return JSONResponse(document)

    return routes
