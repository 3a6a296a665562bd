"""The login by password: what is let in, what is not, and how often it may be tried."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from aiculturekit.api import application
from aiculturekit.console import logins
from aiculturekit.console.logins import ALL, EACH, MINUTE, Attempts
from aiculturekit.console.sessions import COOKIE, Sessions
from aiculturekit.endpoints import Endpoints

PASSWORD = "a-long-password-of-a-machine"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def page(request: Request, code: int, trouble: str, to: str) -> Response:
    return PlainTextResponse(f"{trouble} {to}", status_code=code)


def client(*, sessions: Sessions, attempts: Attempts | None = None, url: str = "http://127.0.0.1") -> TestClient:
    routes = Endpoints()
    logins.add(routes, sessions, password=PASSWORD, page=page, attempts=attempts)
    handlers = application._translations(lambda request, code, message, hint: PlainTextResponse(message, code))
    return TestClient(
        Starlette(routes=routes.routes(), exception_handlers=handlers), base_url=url, follow_redirects=False
    )


def test_the_password_begins_a_session_and_logging_out_ends_it() -> None:
    sessions = Sessions()
    browser = client(sessions=sessions)
    answer = browser.post("/login", data={"password": f" {PASSWORD}\n", "next": "/apps/shop"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/apps/shop")
    flags = {one.strip().lower() for one in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict"} <= flags and "secure" not in flags
    cookie = f"{COOKIE}={browser.cookies[COOKIE]}".encode()
    request = Request({"type": "http", "headers": [(b"cookie", cookie)]})
    assert sessions.is_authentic(request)
    browser.post("/logout")
    assert not sessions.is_authentic(request)


def test_over_tls_the_cookie_never_goes_without() -> None:
    answer = client(sessions=Sessions()).post(
        "/login", data={"password": PASSWORD}, headers={"x-forwarded-proto": "https"}
    )
    assert "secure" in answer.headers["set-cookie"].lower()


def test_what_is_not_the_password_is_nothing() -> None:
    browser = client(sessions=Sessions())
    for wrong in ("", "wrong", PASSWORD[:-1], f"{PASSWORD}x"):
        answer = browser.post("/login", data={"password": wrong})
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
    assert browser.post("/login", content=b"x" * 5000).status_code == 403


def test_after_five_wrong_ones_not_even_the_right_one_is_heard_for_a_minute() -> None:
    clock = Clock()
    browser = client(sessions=Sessions(), attempts=Attempts(clock=clock))
    for _ in range(EACH):
        assert browser.post("/login", data={"password": "wrong"}).status_code == 401
    assert browser.post("/login", data={"password": PASSWORD}).status_code == 429
    clock.now += MINUTE
    assert browser.post("/login", data={"password": PASSWORD}).status_code == 303


def test_who_guesses_behind_an_ingress_locks_out_himself_alone() -> None:
    """The last proxy's word counts, not what a caller claims in front of it."""
    browser = client(sessions=Sessions())

    def tried(seen: str, password: str) -> int:
        return browser.post("/login", data={"password": password}, headers={"x-forwarded-for": seen}).status_code

    for at in range(EACH):
        assert tried(f"10.9.9.{at}, 192.0.2.1", "wrong") == 401
    assert tried("10.9.9.99, 192.0.2.1", PASSWORD) == 429
    assert tried("192.0.2.2", PASSWORD) == 303


def test_many_addresses_have_a_bound_together() -> None:
    attempts = Attempts(clock=Clock())
    for at in range(ALL):
        assert attempts.may(f"10.0.0.{at}")
        attempts.fail(f"10.0.0.{at}")
    assert not attempts.may("10.1.1.1")


def test_a_form_of_another_site_is_refused() -> None:
    browser = client(sessions=Sessions())
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
    ):
        assert browser.post("/login", data={"password": PASSWORD}, headers=headers).status_code == 403
    own = ({"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": "http://127.0.0.1"}, {"origin": "null"})
    for headers in own:
        assert browser.post("/login", data={"password": PASSWORD}, headers=headers).status_code == 303


def test_a_login_leads_to_this_console_only() -> None:
    browser = client(sessions=Sessions())
    for to in ("https://evil.example", "//evil.example", "/\\evil.example"):
        assert browser.post("/login", data={"password": PASSWORD, "next": to}).headers["location"] == "/"
