"""Where a handler's parameters come from, over real requests through Starlette, and how the API describes itself."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from aiculturekit.api import descriptions
from aiculturekit.endpoints import Endpoints, Noted
from aiculturekit.errors import Refused, UsageError


class Order(BaseModel):
    weights: dict[str, float] = Field(min_length=1)
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Odd:
    """What the answers may hold besides JSON's own kinds."""

    path: Path
    figure: float


async def before(request: Request) -> None:
    if "x-refused" in request.headers:
        raise Refused("not you")
    request.state.author = "someone"


def listed() -> Endpoints:
    routes = Endpoints(prefix="/api/v1", before=before)

    @routes.get("/shops/{shop}/{number}", summary="One of a shop")
    async def one(
        shop: str, number: int, window: Annotated[float | None, Field(gt=0)] = None, all: bool = False
    ) -> Any:
        return {"shop": shop, "number": number, "window": window, "all": all}

    @routes.get("/needed", summary="One that must be given")
    async def needed(name: str) -> str:
        return name

    @routes.post("/orders", status=202, summary="Order")
    async def order(body: Order, author: Annotated[str, Noted("author")]) -> Any:
        return {"author": author, "weights": body.weights}

    @routes.delete("/odd")
    async def odd(request: Request) -> Odd:
        return Odd(Path(request.url.path), float("nan"))

    @routes.get("/text")
    async def text() -> PlainTextResponse:
        return PlainTextResponse("as it is", status_code=418)

    return routes


async def told(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"wrong": str(error)}, status_code=403 if isinstance(error, Refused) else 422)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=listed().routes(), exception_handlers={UsageError: told, Refused: told})
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here/api/v1") as made:
        yield made


async def test_the_path_and_the_query_are_read_as_they_are_annotated(client: httpx.AsyncClient) -> None:
    plain = await client.get("/shops/a%20b/7")
    assert plain.json() == {"shop": "a b", "number": 7, "window": None, "all": False}
    asked = await client.get("/shops/a/7?window=1.5&all=true&unknown=1")
    assert asked.json() == {"shop": "a", "number": 7, "window": 1.5, "all": True}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/shops/a/seven", "path.number"),
        ("/shops/a/7?window=0", "query.window"),
        ("/shops/a/7?all=perhaps", "query.all"),
        ("/needed", "query.name"),
    ],
)
async def test_what_does_not_fit_is_named(client: httpx.AsyncClient, path: str, where: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 422 and where in answer.json()["wrong"]


async def test_all_that_is_wrong_is_said_at_once(client: httpx.AsyncClient) -> None:
    wrong = (await client.get("/shops/a/seven?window=0")).json()["wrong"]
    assert "path.number" in wrong and "query.window" in wrong


async def test_a_body_is_json_and_fits(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders", json={"weights": {"v2": 25}})
    assert answer.status_code == 202 and answer.json() == {"author": "someone", "weights": {"v2": 25.0}}
    empty = await client.post("/orders", json={"weights": {}})
    assert empty.status_code == 422 and "body.weights" in empty.json()["wrong"]
    broken = await client.post("/orders", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 422 and "body" in broken.json()["wrong"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_form_of_another_site_can_send_is_no_body(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/orders", content=b'{"weights": {"v2": 25}}', headers={"content-type": kind})
    assert answer.status_code == 422 and "body" in answer.json()["wrong"]


async def test_the_state_is_not_the_callers_to_give(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders?author=root", json={"weights": {"v2": 25}})
    assert answer.json()["author"] == "someone"


async def test_before_comes_before_everything(client: httpx.AsyncClient) -> None:
    answer = await client.get("/shops/a/seven", headers={"x-refused": "1"})
    assert answer.status_code == 403


async def test_answers_hold_what_python_has(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/odd")).json() == {"path": "/api/v1/odd", "figure": None}
    text = await client.get("/text")
    assert (text.status_code, text.text) == (418, "as it is")


def test_the_description_lists_what_has_a_summary() -> None:
    document = descriptions.document(listed())
    assert set(document["paths"]) == {"/api/v1/shops/{shop}/{number}", "/api/v1/needed", "/api/v1/orders"}
    one = document["paths"]["/api/v1/shops/{shop}/{number}"]["get"]
    assert [(each["name"], each["in"], each["required"]) for each in one["parameters"]] == [
        ("shop", "path", True),
        ("number", "path", True),
        ("window", "query", False),
        ("all", "query", False),
    ]
    order = document["paths"]["/api/v1/orders"]["post"]
    assert order["requestBody"]["content"]["application/json"]["schema"]["required"] == ["weights"]
    assert list(order["responses"]) == ["202"] and "parameters" not in order
