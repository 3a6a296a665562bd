"""A login by password, for a console that is not on its user's own machine.

The password is long and made by a machine; still, few attempts are allowed: five a minute from one address, a hundred from everywhere.
A form of another site is refused, the comparison takes the same time however wrong a password is, and what comes of it is a session like
any other.
"""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from aiculturekit.console.sessions import COOKIE, LIFE, Sessions
from aiculturekit.endpoints import Endpoints, speak_to
from aiculturekit.errors import Refused
from aiculturekit.language import say

MINUTE = 60.0
EACH, ALL = 5, 100
"""Failed attempts in a minute, from one address and from everywhere."""
_MOST = 4096
"""Bytes of a form that is read."""
Page = Callable[[Request, int, str, str], Response]
"""(request, status code, what went wrong, where to go afterwards) -> the page with the form."""


class Attempts:
    """Those that failed lately. The clock is injectable for tests."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque()

    def may(self, address: str) -> bool:
        """Whether another attempt from there is listened to."""
        while self._failed and self._failed[0][0] <= self._clock() - MINUTE:
            self._failed.popleft()
        return len(self._failed) < ALL and sum(one == address for _, one in self._failed) < EACH

    def fail(self, address: str) -> None:
        self._failed.append((self._clock(), address))


def add(routes: Endpoints, sessions: Sessions, *, password: str, page: Page, attempts: Attempts | None = None) -> None:
    """GET /login has the form, POST /login takes it, POST /logout ends the session."""
    tries = attempts or Attempts()

    @routes.get("/login")
    async def form(request: Request, next: str = "/") -> Response:
        return page(request, 200, "", place(next))

    @routes.post("/login")
    async def login(request: Request) -> Response:
        speak_to(request)
        _refuse_foreign(request)
        given, to = await _form(request)
        address = _address(request)
        if not tries.may(address):
            return page(request, 429, say("Too many attempts: wait a minute."), to)
        if not hmac.compare_digest(given.encode(), password.encode()):
            tries.fail(address)
            return page(request, 401, say("This is not the password."), to)
        return entered(request, sessions.begin(), to=to)

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        _refuse_foreign(request)
        sessions.end(request)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer


def entered(request: Request, secret: str, *, to: str) -> Response:
    """Into the console, with the cookie of a session: only over TLS where the login came over it."""
    answer = RedirectResponse(place(to), 303)
    is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    answer.set_cookie(COOKIE, secret, max_age=int(LIFE), httponly=True, samesite="strict", secure=is_secure)
    return answer


def place(text: str) -> str:
    """A path of this console: never another site's."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) else "/"


async def _form(request: Request) -> tuple[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise Refused(say("this form is too long"))
    fields = parse_qs(body.decode("utf-8", "replace"))
    return fields.get("password", [""])[0].strip(), place(fields.get("next", ["/"])[0])


def _address(request: Request) -> str:
    """Whose attempt it is. Behind an ingress all come from the ingress, and one who guesses must not lock out the others: what counts is
    the address that the last proxy saw and put behind what others claim. (Who comes past it has `ALL` attempts, however he lies.)"""
    seen = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return seen or (request.client.host if request.client else "")


def _refuse_foreign(request: Request) -> None:
    """Browsers say where a form came from; our pages tell no one their address, so that the origin alone would say nothing."""
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "null")
    is_foreign = origin != "null" and urlsplit(origin).netloc != request.headers.get("host", "")
    if site not in ("", "same-origin", "none") or (not site and is_foreign):
        raise Refused(say("this form came from another site"))
