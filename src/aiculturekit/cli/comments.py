"""One comment of a merge request, over a forge's API: found, and written anew. The standard library is enough."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.errors import Mistake, Unreachable
from aiculturekit.language import say

_PAGES, _SECONDS = 50, 30.0


def said(app: str, plans: Sequence[tuple[str, str]], *, variables: Mapping[str, str]) -> str:
    """Where it can be read. Raises Mistake outside of a merge request, or where the forge refuses; Unreachable where it does not answer."""
    from aiculturekit.forges import discussions

    place = discussions.found(variables)
    if place is None:
        raise Mistake(
            say("this is no run for a merge request"),
            hint=say("the pipelines that `aic ci` writes call this; by hand, set CHANGE_URL to the request's address"),
        )
    if not place.token:
        raise Mistake(
            say("there is no token that may write comments"),
            hint=say("give the step AIC_FORGE_TOKEN, from the forge's secrets"),
        )
    number = _number(place, app)
    answer = _asked(discussions.writing(place, discussions.body(app, plans), number=number))
    return str(answer.get("html_url") or place.repository + "#" + place.number)


def _number(place: Any, app: str) -> str | None:
    from aiculturekit.forges import discussions

    for page in range(1, _PAGES + 1):
        listed = _asked(discussions.listing(place, page=page))
        if found := discussions.ours(place, listed, app=app):
            return found
        if len(listed) < 100:
            return None
    return None


def _asked(ask: Any) -> Any:
    data = json.dumps(ask.body).encode() if ask.body is not None else None
    request = urllib.request.Request(ask.url, data=data, headers=dict(ask.headers), method=ask.method)  # noqa: S310  # the forge's own address
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        told = error.read(300).decode("utf-8", "replace")
        raise Mistake(
            say("{method} {url}: {status} {answer}", method=ask.method, url=ask.url, status=error.code, answer=told),
            hint=say("may the token write comments of merge requests?"),
        ) from None
    except (OSError, ValueError) as error:
        raise Unreachable(say("{url} was not reached: {error}", url=ask.url, error=error)) from None
