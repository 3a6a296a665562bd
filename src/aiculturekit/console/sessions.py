"""Browser sessions: started from a link that works once, held by a cookie that scripts can't read, guarded by a CSRF token.

Only SHA-256 hashes of session secrets are kept, so the stored sessions are of no use to who reads them. The CSRF token is an HMAC of the
session's secret (the "signed double submit" of OWASP's cheat sheet): pages carry it, other sites can't know it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

from starlette.requests import Request

COOKIE, HEADER = "aic_session", "x-csrf-token"
LIFE, CODE_LIFE = 12 * 3600.0, 300.0
_MOST = 100


class Sessions:
    """`kept` is what `save` was given last, or None. The clock is injectable for tests."""

    def __init__(
        self,
        *,
        kept: str | None = None,
        save: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._save, self._clock = save, clock
        self._sessions: dict[str, float] = json.loads(kept) if kept else {}
        self._codes: dict[str, float] = {}

    def new_login_code(self) -> str:
        """A code that `redeem` takes once, within five minutes."""
        now = self._clock()
        self._codes = {code: until for code, until in self._codes.items() if until > now}
        code = secrets.token_urlsafe(24)
        self._codes[_hash(code)] = now + CODE_LIFE
        return code

    def redeem(self, code: str) -> str | None:
        """The secret of a new session for the cookie, or None for a code that is unknown, used or too old."""
        until = self._codes.pop(_hash(code), 0.0)
        return self.begin() if until > self._clock() else None

    def begin(self) -> str:
        """The secret of a new session, for whoever has shown by other means that he may have one."""
        secret = secrets.token_urlsafe(32)
        self._sessions[_hash(secret)] = self._clock() + LIFE
        self._store()
        return secret

    def end(self, request: Request) -> None:
        self._sessions.pop(_hash(request.cookies.get(COOKIE, "")), None)
        self._store()

    def is_authentic(self, request: Request) -> bool:
        secret = request.cookies.get(COOKIE, "")
        return bool(secret) and self._sessions.get(_hash(secret), 0.0) > self._clock()

    def csrf(self, request: Request) -> str:
        """The token that the session's pages carry."""
        secret = request.cookies.get(COOKIE, "")
        return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()

    def has_csrf(self, request: Request) -> bool:
        given = request.headers.get(HEADER, "")
        return self.is_authentic(request) and hmac.compare_digest(given.encode(), self.csrf(request).encode())

    def _store(self) -> None:
        now = self._clock()
        live = {name: until for name, until in self._sessions.items() if until > now}
        newest = sorted(live.items(), key=lambda item: item[1])[-_MOST:]
        self._sessions = dict(newest)
        self._save(json.dumps(self._sessions))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
