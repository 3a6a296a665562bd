"""Who may call: the bearer of the home's token, or a browser session with its CSRF token; from this machine only."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request

from aiculturekit.endpoints import speak_to
from aiculturekit.errors import Refused
from aiculturekit.language import say

_SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Unauthorized(Refused):
    code = "unauthorized"


class Browsers(Protocol):
    """What the guard asks of the console's sessions."""

    def is_authentic(self, request: Request) -> bool: ...

    def has_csrf(self, request: Request) -> bool: ...


def guard(token: str, browsers: Browsers) -> Callable[[Request], Awaitable[None]]:
    """A dependency that notes the author in `request.state`, or raises Unauthorized. The token is compared in constant time."""

    async def check(request: Request) -> None:
        speak_to(request)
        refuse_strangers(request)
        given = request.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            request.state.author = request.headers.get("x-aic-author", "local")[:100]
            return
        if not browsers.is_authentic(request):
            raise Unauthorized(
                say("this needs the token in $AIC_HOME/token, or a session of the console"),
                hint=say("`aic open` starts one"),
            )
        if request.method not in _SAFE and not browsers.has_csrf(request):
            raise Unauthorized(say("the page is out of date"), hint=say("load it again"))
        request.state.author = "console"

    return check


def refuse_strangers(request: Request) -> None:
    """A page of another site may reach loopback through a name it made resolve to it: only names of this machine are served."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if host not in LOOPBACK and not host.endswith(".localhost"):
        raise Unauthorized(say("this address serves this machine only, not {host}", host=host))


async def only_from_here(request: Request) -> None:
    """`refuse_strangers` for what needs no token."""
    refuse_strangers(request)
