from __future__ import annotations

import json

from starlette.requests import Request

from aiculturekit.console.sessions import CODE_LIFE, COOKIE, HEADER, LIFE, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def request(secret: str = "", *, csrf: str = "") -> Request:
    headers = [(b"cookie", f"{COOKIE}={secret}".encode()), (HEADER.encode(), csrf.encode())]
    return Request({"type": "http", "headers": headers})


def test_a_login_code_works_once() -> None:
    sessions = Sessions()
    code = sessions.new_login_code()
    secret = sessions.redeem(code)
    assert secret and sessions.is_authentic(request(secret))
    assert sessions.redeem(code) is None
    assert sessions.redeem("made-up") is None
    assert not sessions.is_authentic(request("made-up")) and not sessions.is_authentic(request())


def test_codes_and_sessions_end() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    late = sessions.new_login_code()
    secret = sessions.redeem(sessions.new_login_code()) or ""
    clock.now += CODE_LIFE + 1
    assert sessions.redeem(late) is None
    assert sessions.is_authentic(request(secret))
    clock.now += LIFE
    assert not sessions.is_authentic(request(secret))


def test_what_is_kept_carries_sessions_over_and_is_of_no_use_to_a_reader() -> None:
    saved: list[str] = []
    first = Sessions(save=saved.append)
    secret = first.redeem(first.new_login_code()) or ""
    assert secret not in saved[-1]
    second = Sessions(kept=saved[-1])
    assert second.is_authentic(request(secret))
    assert not second.is_authentic(request(next(iter(json.loads(saved[-1])))))
    second.end(request(secret))
    assert not second.is_authentic(request(secret))


def test_a_change_needs_the_token_of_its_own_session() -> None:
    sessions = Sessions()
    mine = sessions.redeem(sessions.new_login_code()) or ""
    theirs = sessions.redeem(sessions.new_login_code()) or ""
    assert sessions.has_csrf(request(mine, csrf=sessions.csrf(request(mine))))
    assert not sessions.has_csrf(request(mine, csrf=sessions.csrf(request(theirs))))
    assert not sessions.has_csrf(request(mine))
    assert not sessions.has_csrf(request("", csrf=sessions.csrf(request(""))))
