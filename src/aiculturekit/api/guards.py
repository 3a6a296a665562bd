"""Who may call: the bearer of the home's token, or a browser session with its CSRF token; from this machine only."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from starlette.requests import Request

from aiculturekit.endpoints import speak_to
from aiculturekit.errors import Refused
from aiculturekit.language import say

_SAFE = ("GET", "HEAD", "OPTIONS")
_CLUSTERS = "/api/v1/placements"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Unauthorized(Refused):
    code = "unauthorized"


class Browsers(Protocol):
    """What the guard asks of the console's sessions."""

    def is_authentic(self, request: Request) -> bool: ...

    def has_csrf(self, request: Request) -> bool: ...


def guard(token: str, browsers: Browsers, *, hosts: Collection[str] = ()) -> Callable[[Request], Awaitable[None]]:
    """A dependency that notes the author in `request.state`, or raises Unauthorized. The token is compared in constant time. `hosts` are
    names under which requests are served besides this machine's own."""

    async def check(request: Request) -> None:
        speak_to(request)
        refuse_strangers(request, hosts=hosts)
        given = request.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            request.state.author = request.headers.get("x-aic-author", "local")[:100]
            return
        if not browsers.is_authentic(request):
            raise _unknown(is_remote=bool(hosts))
        if request.method not in _SAFE and not browsers.has_csrf(request):
            raise Unauthorized(say("the page is out of date"), hint=say("load it again"))
        request.state.author = "console"

    return check


def for_clusters(authorize: Callable[[Request], Awaitable[None]]) -> Callable[[Request], Awaitable[None]]:
    """For a daemon that sits in a cluster: what changes something there passes, what would change something on its own machine does not."""

    async def check(request: Request) -> None:
        await authorize(request)
        if request.method not in _SAFE and not request.url.path.startswith(_CLUSTERS):
            raise Refused(
                say("this daemon sits in a cluster: it deploys into clusters, and runs nothing beside itself"),
                hint=say("`aic deploy --to ENVIRONMENT`; without AIC_SERVER the command is about this machine"),
            )

    return check


def _unknown(*, is_remote: bool) -> Unauthorized:
    if is_remote:
        return Unauthorized(
            say("this needs the platform's password, or a session of the console"),
            hint=say("set AIC_TOKEN: `aic install kubernetes` says where the password is; or log in at /login"),
        )
    return Unauthorized(
        say("this needs the token in $AIC_HOME/token, or a session of the console"), hint=say("`aic open` starts one")
    )


def refuse_strangers(request: Request, *, hosts: Collection[str] = ()) -> None:
    """A page of another site may reach loopback through a name it made resolve to it: only names of this machine are served."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if host not in LOOPBACK and host not in hosts and not host.endswith(".localhost"):
        raise Unauthorized(say("this address serves this machine only, not {host}", host=host))


async def only_from_here(request: Request) -> None:
    """`refuse_strangers` for what needs no token."""
    refuse_strangers(request)
