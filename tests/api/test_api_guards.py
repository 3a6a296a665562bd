"""Who may call, and how errors look over HTTP: the real guard and sessions in an application with two routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from aiculturekit import errors
from aiculturekit.api import streams
from aiculturekit.api.application import application
from aiculturekit.api.guards import guard
from aiculturekit.console.sessions import COOKIE, HEADER, Sessions
from aiculturekit.endpoints import Endpoints

BEARER = {"authorization": "Bearer the-token"}


class Door:
    """An application behind the guard, and a client for it."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.envoy: int | None = 7
        routes = Endpoints(prefix="/api/v1", before=guard("the-token", self.sessions))
        routes.get("/thing")(self.thing)
        routes.post("/thing")(self.thing)
        routes.get("/fails/{kind}")(self.fails)
        self.app = application(
            routes,
            status=self.status,
            edges=list,
            engines=self.engines,
            proxy_metrics=self.proxy_metrics,
            page=self.page,
        )

    async def thing(self, request: Request) -> dict[str, str]:
        return {"author": request.state.author}

    async def fails(self, kind: str, number: int = 0) -> None:
        raise {
            "missing": errors.NotFound("no such thing", hint="look"),
            "spec": errors.SpecError([errors.Problem("services.web", "wrong", line=3, column=1)]),
            "protected": errors.Protected("kept"),
            "busy": errors.Busy("later"),
            "bug": ZeroDivisionError(),
        }[kind]

    async def status(self) -> dict[str, Any]:
        trust = {"certificates": 3, "seconds_left": 1800.5, "trouble": "no disk"}
        row = {"app": "s", "name": 'w"', "kind": "service", "version": "v1", "replicas": 2, "ready": 1, "restarts": 3}
        return {
            "version": "1",
            "envoy": {"pid": self.envoy},
            "trust": trust,
            "workloads": [row | {"memory_bytes": None}],
        }

    async def engines(self) -> list[dict[str, Any]]:
        return []

    async def proxy_metrics(self) -> str:
        return "envoy_server_live{} 1\n"

    def page(self, request: Request, code: int, message: str, hint: str) -> PlainTextResponse:
        return PlainTextResponse(f"page: {message}", status_code=code)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7411") as client:
            return await client.request(method, path, **more)

    def login(self) -> tuple[dict[str, str], str]:
        secret = self.sessions.redeem(self.sessions.new_login_code()) or ""
        cookie = {"cookie": f"{COOKIE}={secret}"}
        return cookie, self.sessions.csrf(
            Request({"type": "http", "headers": [(b"cookie", cookie["cookie"].encode())]})
        )


@pytest.fixture
def door() -> Door:
    return Door()


async def test_only_the_token_or_a_session_gets_in(door: Door) -> None:
    assert (await door.ask("GET", "/api/v1/thing")).status_code == 401
    assert (await door.ask("GET", "/api/v1/thing", headers={"authorization": "Bearer nearly"})).status_code == 401
    answer = await door.ask("GET", "/api/v1/thing", headers=BEARER | {"x-aic-author": "ann"})
    assert answer.json() == {"author": "ann"}
    cookie, _ = door.login()
    assert (await door.ask("GET", "/api/v1/thing", headers=cookie)).json() == {"author": "console"}


async def test_a_session_changes_things_only_with_its_csrf_token(door: Door) -> None:
    cookie, csrf = door.login()
    assert (await door.ask("POST", "/api/v1/thing", headers=cookie)).status_code == 401
    assert (await door.ask("POST", "/api/v1/thing", headers=cookie | {HEADER: "x"})).status_code == 401
    assert (await door.ask("POST", "/api/v1/thing", headers=cookie | {HEADER: csrf})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7411", ""])
async def test_a_name_that_was_made_to_resolve_here_is_refused(door: Door, host: str) -> None:
    assert (await door.ask("GET", "/api/v1/thing", headers=BEARER | {"host": host})).status_code == 401
    assert (await door.ask("GET", "/metrics", headers={"host": host})).status_code == 401


@pytest.mark.parametrize("host", ["localhost:7411", "127.0.0.1", "[::1]:7411", "shop.localhost:8080"])
async def test_names_of_this_machine_are_served(door: Door, host: str) -> None:
    assert (await door.ask("GET", "/api/v1/thing", headers=BEARER | {"host": host})).status_code == 200


@pytest.mark.parametrize(
    ("kind", "code"), [("missing", 404), ("spec", 422), ("protected", 403), ("busy", 409), ("bug", 500)]
)
async def test_an_error_keeps_its_name_and_gets_its_status(door: Door, kind: str, code: int) -> None:
    answer = await door.ask("GET", f"/api/v1/fails/{kind}", headers=BEARER)
    assert answer.status_code == code
    error = answer.json()["error"]
    assert {"code", "message", "hint"} <= set(error)
    if kind == "spec":
        assert error["problems"][0]["line"] == 3


async def test_what_is_malformed_or_nowhere_is_said(door: Door) -> None:
    malformed = await door.ask("GET", "/api/v1/fails/busy?number=many", headers=BEARER)
    assert malformed.status_code == 422 and "query.number" in malformed.json()["error"]["message"]
    nowhere = await door.ask("GET", "/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    page = await door.ask("GET", "/nowhere", headers={"accept": "text/html"})
    assert page.text == "page: there is nothing at /nowhere"


async def test_errors_speak_the_callers_language(door: Door) -> None:
    answer = await door.ask("GET", "/api/v1/thing", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert "令牌" in answer.json()["error"]["message"]
    nowhere = await door.ask("GET", "/nowhere", headers={"accept-language": "en", "cookie": "aic_lang=zh"})
    assert nowhere.json()["error"]["message"] == "/nowhere 处没有内容", (
        "what was chosen counts, also where nothing answers"
    )


async def test_ready_means_that_envoy_runs(door: Door) -> None:
    assert (await door.ask("GET", "/readyz")).status_code == 200
    door.envoy = None
    assert (await door.ask("GET", "/readyz")).status_code == 503
    assert (await door.ask("GET", "/healthz")).status_code == 200


async def test_metrics_are_prometheus_text(door: Door) -> None:
    lines = (await door.ask("GET", "/metrics")).text.splitlines()
    assert 'aic_workload_replicas{app="s",name="w\\"",kind="service",version="v1"} 2' in lines
    assert "# TYPE aic_workload_restarts_total counter" in lines
    assert not any(line.startswith("aic_workload_memory_bytes{") for line in lines), "unknown is left out, not zero"
    assert {"aic_certificates 3", "aic_certificate_seconds_left 1800.5", "aic_certificate_renewal_failing 1"} <= {
        *lines
    }
    assert lines[-1] == "envoy_server_live{} 1"


async def test_a_quiet_stream_is_kept_open_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)

    async def events() -> AsyncIterator[tuple[str, dict[str, str]]]:
        yield "first", {"text": "行\nline"}
        await asyncio.sleep(0.12)
        yield "second", {}

    pieces = [bytes(piece) async for piece in streams.response(events()).chunks]
    assert pieces[0] == 'event: first\ndata: {"text": "行\\nline"}\n\n'.encode()
    assert pieces[1] == b": still here\n\n" and pieces[-1] == b"event: second\ndata: {}\n\n"
