"""A platform's daemon that is somewhere else: waited for while another one comes to lead, and not where nobody is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aiculturekit.cli import clients
from aiculturekit.cli.clients import Answered, Client
from aiculturekit.errors import Unreachable, UsageError

WAITS = (503, {"error": {"code": "unreachable", "message": "another daemon leads", "hint": ""}})
STRANGER = (401, {"error": {"code": "unauthorized", "message": "no", "hint": ""}})
BROKEN = (0, {})


class Server(ThreadingHTTPServer):
    """Answers with what is listed, in turn, then with an empty list. A 0 ends the connection instead."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.listed: list[tuple[int, object]] = []
        self.heard: list[dict[str, str]] = []

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.server_address[1]}", "word", is_far=True)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.heard.append(dict(self.headers))
        code, body = self.server.listed.pop(0) if self.server.listed else (200, [])
        if not code:
            return
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(clients.time, "sleep", lambda _: None)
    with Server() as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


def test_it_is_waited_for_while_another_one_comes_to_lead(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIC_AUTHOR", "ada \n 爱达")
    server.listed = [BROKEN, WAITS]
    server.client.reached()
    assert len(server.heard) == 3
    assert {one["X-AIC-Author"] for one in server.heard} == {"ada ??"}


def test_who_is_not_let_in_need_not_wait(server: Server) -> None:
    server.listed = [STRANGER]
    with pytest.raises(Answered, match="no"):
        server.client.reached()
    assert len(server.heard) == 1


def test_where_nobody_listens_nothing_is_waited_for(server: Server) -> None:
    nowhere = server.client
    server.shutdown()
    server.server_close()
    with pytest.raises(Unreachable, match="does not answer"):
        nowhere.reached()


def test_it_is_given_up_in_the_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_TURN", -1.0)
    server.listed = [WAITS]
    with pytest.raises(Answered, match="another daemon leads"):
        server.client.reached()


@pytest.mark.parametrize(("api", "token"), [("aic.example.com", "word"), ("http://", "word"), ("https://aic", "")])
def test_what_names_no_platform_is_refused(api: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIC_SERVER", api)
    monkeypatch.setenv("AIC_TOKEN", token)
    with pytest.raises(UsageError, match="AIC_TOKEN"):
        Client.of_server()
