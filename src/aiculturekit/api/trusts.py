"""The routes of /api/v1/mesh: identities, roots, the trust bundle, federation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from starlette.responses import JSONResponse, PlainTextResponse, Response

from aiculturekit.api import bodies
from aiculturekit.api.guards import only_from_here
from aiculturekit.control import trusts
from aiculturekit.endpoints import Before, Endpoints
from aiculturekit.mesh import bundles
from aiculturekit.mesh.trusts import Trust

Json = dict[str, Any]


def router(trust: Trust, *, refresh: Callable[[], Awaitable[None]], authorize: Before) -> Endpoints:
    """`refresh` brings the mesh in line after a neighbour came or went."""
    routes = Endpoints(prefix="/api/v1/mesh", before=authorize)
    _reading(routes, trust)
    _federating(routes, trust, refresh)
    return routes


def public(trust: Trust) -> Endpoints:
    """What needs no token, since it is there to be given away; only who is on this machine reaches it."""
    routes = Endpoints(prefix="/api/v1/mesh", before=only_from_here)

    @routes.get("/bundle", summary="The trust bundle, as SPIFFE publishes it or as PEM; it holds no secret")
    async def bundle(format: Literal["spiffe", "pem"] = "spiffe") -> Response:
        document = await trust.bundle()
        if format == "pem":
            return PlainTextResponse(bundles.pem(document), media_type="application/x-pem-file")
        return JSONResponse(document)

    return routes


def _reading(routes: Endpoints, trust: Trust) -> None:

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


def _federating(routes: Endpoints, trust: Trust, refresh: Callable[[], Awaitable[None]]) -> None:
    @routes.get("/federation", summary="The trust domains of other nodes that are trusted here")
    async def federation() -> list[Json]:
        return trusts.federation(trust)

    @routes.post("/federation", summary="Trust another node's domain, for its own workloads alone")
    async def add(body: bodies.Federate) -> list[Json]:
        await trust.federation.add(body.domain, source=body.bundle, address=body.address)
        await refresh()
        return trusts.federation(trust)

    @routes.delete("/federation/{domain}", summary="Trust it no more, at once")
    async def remove(domain: str) -> list[Json]:
        trust.federation.remove(domain)
        await refresh()
        return trusts.federation(trust)
